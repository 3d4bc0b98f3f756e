//! What Produce and Fetch answers share: how a topic is named, and where its leader went (KIP-951).

use milena_core::{Address, LeaderEpoch, NodeId, Result};
use uuid::Uuid;

use crate::reader::Reader;

/// A topic as an answer names it: by name in older versions, by id in newer ones (KIP-516).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TopicRef<'a> {
    /// The name.
    Name(&'a str),
    /// The id, which a topic created anew under the same name does not share.
    Id(Uuid),
}

impl TopicRef<'_> {
    /// Whether this means the topic of that name, or of that id where it is known.
    pub fn is(&self, name: &str, id: Option<Uuid>) -> bool {
        match self {
            Self::Name(own) => *own == name,
            Self::Id(own) => id == Some(*own),
        }
    }
}

/// The leader of a partition, as a broker that is not it knows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeaderHint {
    /// The leader.
    pub node: NodeId,
    /// Its epoch: a hint older than what the client knows is to be ignored.
    pub epoch: LeaderEpoch,
}

/// Where a broker is reached that a [`LeaderHint`] names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeEndpoint {
    /// The broker.
    pub node: NodeId,
    /// Where it listens.
    pub address: Address,
    /// The rack it stands in.
    pub rack: Option<String>,
}

/// Reads a topic's id where `by_id`, else its name.
pub(crate) fn read_topic<'a>(
    reader: &mut Reader<'a>,
    by_id: bool,
    flexible: bool,
) -> Result<TopicRef<'a>> {
    if by_id {
        return reader
            .array()
            .map(|raw| TopicRef::Id(Uuid::from_bytes(raw)));
    }
    reader.str(flexible).map(TopicRef::Name)
}

/// Reads the leader that a tagged field carries; `None` when the broker does not know one.
pub(crate) fn read_leader(field: &mut Reader<'_>) -> Result<Option<LeaderHint>> {
    let (node, epoch) = (field.i32()?, field.i32()?);
    field.skip_tagged()?;
    Ok(NodeId::from_wire(node)
        .zip(LeaderEpoch::from_wire(epoch))
        .map(|(node, epoch)| LeaderHint { node, epoch }))
}

/// Reads the brokers that a tagged field lists; one without a usable address is left out.
pub(crate) fn read_endpoints(field: &mut Reader<'_>) -> Result<Vec<NodeEndpoint>> {
    let count = field.array_len(true, 11)?.unwrap_or(0);
    let mut endpoints = Vec::with_capacity(count);
    for _ in 0..count {
        let node = field.i32()?;
        let host = field.str(true)?;
        let port = field.i32()?;
        let rack = field.nullable_str(true)?.map(str::to_owned);
        field.skip_tagged()?;
        if let (Some(node), Ok(port)) = (NodeId::from_wire(node), u16::try_from(port)) {
            endpoints.push(NodeEndpoint {
                node,
                address: Address::new(host, port),
                rack,
            });
        }
    }
    Ok(endpoints)
}
