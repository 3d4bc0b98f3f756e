//! A group at one moment, for inspection and DescribeGroups.

use bytes::Bytes;
use uuid::Uuid;

use super::consumer::ConsumerGroup;
use super::group_state::GroupState;
use super::state::Group;

/// A group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupView {
    /// The protocol of its members.
    pub kind: GroupKind,
    /// Its state.
    pub state: GroupState,
    /// The generation, which grows with each rebalance. The group epoch under the consumer
    /// protocol.
    pub generation: i32,
    /// The kind of members, `consumer` for consumers. `None` before the first member.
    pub protocol_type: Option<String>,
    /// The assignor in use. `None` before the first rebalance.
    pub protocol: Option<String>,
    /// The member id of the leader. `None` without one, and under the consumer protocol.
    pub leader: Option<String>,
    /// The members, in the order in which they joined.
    pub members: Vec<MemberView>,
}

/// The protocol of a group's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    /// The classic protocol. The leader of the group assigns.
    Classic,
    /// The consumer protocol (KIP-848). The coordinator assigns.
    Consumer,
}

/// A member at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView {
    /// The member id.
    pub id: String,
    /// The static identity (`group.instance.id`). `None` for a dynamic member.
    pub instance_id: Option<String>,
    /// The client id that it joined with.
    pub client_id: String,
    /// The address that it joined from.
    pub client_host: String,
    /// The subscription, as it was sent. Empty under the consumer protocol.
    pub metadata: Bytes,
    /// The assignment, as the leader wrote it. Empty under the consumer protocol.
    pub assignment: Bytes,
    /// The member epoch. `None` for a classic member.
    pub epoch: Option<i32>,
    /// The assigned partitions by topic. Empty for a classic member, because the broker does not
    /// read its assignment.
    pub partitions: Vec<(String, i32)>,
}

impl GroupView {
    /// Shows a group of either protocol.
    pub(super) fn of(group: &Group) -> Self {
        if let Some(group) = group.consumer.as_ref().filter(|_| group.members.is_empty()) {
            return Self::of_consumer(group);
        }
        let members = group.members.iter().map(|member| MemberView {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: member.metadata(group.protocol.as_deref()),
            assignment: member.assignment.clone(),
            epoch: None,
            partitions: Vec::new(),
        });
        Self {
            kind: GroupKind::Classic,
            state: group.state,
            generation: group.generation,
            protocol_type: group.protocol_type.clone(),
            protocol: group.protocol.clone(),
            leader: group.leader.clone(),
            members: members.collect(),
        }
    }

    /// Shows a group of the consumer protocol.
    fn of_consumer(group: &ConsumerGroup) -> Self {
        let name = |id: &Uuid| {
            let found = group.topics.iter().find(|(_, (known, _))| known == id);
            found.map_or_else(|| id.to_string(), |(name, _)| name.clone())
        };
        let members = group.members.values().map(|member| MemberView {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: Bytes::new(),
            assignment: Bytes::new(),
            epoch: Some(member.epoch),
            partitions: member
                .assigned
                .iter()
                .flat_map(|(id, partitions)| partitions.iter().map(move |p| (id, *p)))
                .map(|(id, partition)| (name(id), partition))
                .collect(),
        });
        Self {
            kind: GroupKind::Consumer,
            state: group.state(),
            generation: group.epoch,
            protocol_type: Some("consumer".to_owned()),
            protocol: Some(group.assignor.clone()),
            leader: None,
            members: members.collect(),
        }
    }
}

impl GroupKind {
    /// Returns Kafka's name of the kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}
