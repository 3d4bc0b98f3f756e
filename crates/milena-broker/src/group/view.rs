//! A group at one moment, for inspection and DescribeGroups.

use bytes::Bytes;

use super::group_state::GroupState;
use super::state::Group;

/// A group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupView {
    /// The protocol of its members, `classic` or `consumer`.
    pub kind: &'static str,
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

impl Group {
    /// Returns the group for inspection.
    pub(crate) fn view(&self) -> GroupView {
        if let Some(group) = self.consumer.as_ref().filter(|_| self.members.is_empty()) {
            return group.view();
        }
        GroupView {
            kind: "classic",
            state: self.state,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self
                .members
                .iter()
                .map(|member| MemberView {
                    id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    metadata: member.metadata(self.protocol.as_deref()),
                    assignment: member.assignment.clone(),
                    epoch: None,
                    partitions: Vec::new(),
                })
                .collect(),
        }
    }
}
