//! The state of a group of the consumer protocol, for inspection and ConsumerGroupDescribe.

use super::member::MemberState;
use super::{ConsumerGroup, ConsumerMember, Places};
use crate::group::group_state::GroupState;
use crate::group::view::{GroupView, MemberView};

impl ConsumerGroup {
    /// Returns the group's state.
    pub(crate) fn state(&self) -> GroupState {
        let settled = |m: &ConsumerMember| {
            m.state == MemberState::Stable && (m.epoch == self.target_epoch || m.epoch < 0)
        };
        if self.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.target_epoch {
            GroupState::Assigning
        } else if self.members.values().all(settled) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// Returns the group epoch, the assignment epoch and the assignor, and the members with their
    /// targets.
    pub(crate) fn describe(&self) -> (i32, i32, &str, Vec<(&ConsumerMember, Places)>) {
        let members = self.members.values().map(|member| {
            let target = self.target.get(&member.id).cloned();
            (member, target.unwrap_or_default())
        });
        (
            self.epoch,
            self.target_epoch,
            &self.assignor,
            members.collect(),
        )
    }

    /// Returns the group for inspection.
    pub(crate) fn view(&self) -> GroupView {
        let name = |id: &uuid::Uuid| {
            let found = self.topics.iter().find(|(_, (known, _))| known == id);
            found.map_or_else(|| id.to_string(), |(name, _)| name.clone())
        };
        let members = self.members.values().map(|member| MemberView {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: bytes::Bytes::new(),
            assignment: bytes::Bytes::new(),
            epoch: Some(member.epoch),
            partitions: member
                .assigned
                .iter()
                .flat_map(|(id, partitions)| partitions.iter().map(move |p| (id, *p)))
                .map(|(id, partition)| (name(id), partition))
                .collect(),
        });
        GroupView {
            kind: "consumer",
            state: self.state(),
            generation: self.epoch,
            protocol_type: Some("consumer".to_owned()),
            protocol: Some(self.assignor.clone()),
            leader: None,
            members: members.collect(),
        }
    }
}
