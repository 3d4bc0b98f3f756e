//! The parts that Produce and Fetch answers share, which are the names of topics and the new
//! leaders of partitions (KIP-951).

use milena_core::{Address, LeaderEpoch, NodeId, Result};
use uuid::Uuid;

use crate::reader::Reader;

/// A topic as an answer names it. Older versions use the name, newer ones the id (KIP-516).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TopicRef<'a> {
    /// The name.
    Name(&'a str),
    /// The id. A topic that was created again under the same name has another one.
    Id(Uuid),
}

impl TopicRef<'_> {
    /// Returns true if this is the topic with that name, or with that id if the answer names ids.
    pub fn is(&self, name: &str, id: Option<Uuid>) -> bool {
        match self {
            Self::Name(own) => *own == name,
            Self::Id(own) => id == Some(*own),
        }
    }
}

/// The leader of a partition, as known by a broker that does not lead it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeaderHint {
    /// The leader.
    pub node: NodeId,
    /// The leader's epoch. A client ignores a hint with an older epoch than it knows.
    pub epoch: LeaderEpoch,
}

/// The address of a broker that a [`LeaderHint`] names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeEndpoint {
    /// The broker.
    pub node: NodeId,
    /// The address on which it listens.
    pub address: Address,
    /// The rack that it is in. `None` if it has none.
    pub rack: Option<String>,
}

/// Reads a topic's id if `by_id` is true, and its name otherwise.
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

/// Reads the leader that a tagged field holds. `None` if the broker does not know one.
pub(crate) fn read_leader(field: &mut Reader<'_>) -> Result<Option<LeaderHint>> {
    let (node, epoch) = (field.i32()?, field.i32()?);
    field.skip_tagged()?;
    Ok(NodeId::from_wire(node)
        .zip(LeaderEpoch::from_wire(epoch))
        .map(|(node, epoch)| LeaderHint { node, epoch }))
}

/// Reads the brokers that a tagged field lists. A broker without a usable address is left out.
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
