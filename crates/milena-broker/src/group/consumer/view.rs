//! A group of the consumer protocol as ConsumerGroupDescribe shows it.

use super::{ConsumerGroup, ConsumerMember, Places};
use crate::group::group_state::GroupState;

/// A group of the consumer protocol at one moment.
#[derive(Debug)]
pub(crate) struct Description<'a> {
    /// The state.
    pub(crate) state: GroupState,
    /// The group epoch.
    pub(crate) epoch: i32,
    /// The epoch that the target was made for.
    pub(crate) target_epoch: i32,
    /// The assignor that made the target.
    pub(crate) assignor: &'a str,
    /// The members with their targets, ordered by id.
    pub(crate) members: Vec<(&'a ConsumerMember, Places)>,
}

impl<'a> Description<'a> {
    /// Describes a group.
    pub(crate) fn of(group: &'a ConsumerGroup) -> Self {
        let members = group.members.values().map(|member| {
            let target = group.target.get(&member.id).cloned();
            (member, target.unwrap_or_default())
        });
        Self {
            state: group.state(),
            epoch: group.epoch,
            target_epoch: group.target_epoch,
            assignor: &group.assignor,
            members: members.collect(),
        }
    }
}
