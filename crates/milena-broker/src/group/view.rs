//! A group as it stands, for inspection and DescribeGroups.

use bytes::Bytes;

use super::state::Group;

/// The state of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// No members; there may be committed offsets.
    Empty,
    /// Members are asked to join again.
    PreparingRebalance,
    /// All have joined; the leader is to hand in the assignment.
    CompletingRebalance,
    /// Everybody has an assignment.
    Stable,
    /// Of a group of the consumer protocol: the target is to be made anew.
    Assigning,
    /// Of a group of the consumer protocol: members are on their way to their targets.
    Reconciling,
    /// There is no such group.
    Dead,
}

impl GroupState {
    /// Kafka's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Dead => "Dead",
        }
    }
}

/// A group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupView {
    /// The protocol of its members: `classic` or `consumer`.
    pub kind: &'static str,
    /// Its state.
    pub state: GroupState,
    /// The generation, which rises with each rebalance; under the consumer protocol the group epoch.
    pub generation: i32,
    /// The kind of members, `consumer` for consumers.
    pub protocol_type: Option<String>,
    /// The assignor in use.
    pub protocol: Option<String>,
    /// The member id of the leader.
    pub leader: Option<String>,
    /// The members, in the order in which they joined.
    pub members: Vec<MemberView>,
}

/// A member at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberView {
    /// The id that the coordinator gave it.
    pub id: String,
    /// Its static identity (`group.instance.id`).
    pub instance_id: Option<String>,
    /// The client id that it joined with.
    pub client_id: String,
    /// Where it joined from.
    pub client_host: String,
    /// Its subscription, as it was sent.
    pub metadata: Bytes,
    /// Its assignment, as the leader wrote it.
    pub assignment: Bytes,
    /// Its epoch; `None` for a classic member.
    pub epoch: Option<i32>,
    /// What it was assigned, by topic and partition; empty for a classic member, whose assignment the broker cannot read.
    pub partitions: Vec<(String, i32)>,
}

impl Group {
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
