//! The check of who may commit offsets.

use milena_core::ErrorCode;
use tokio::time::Instant;

use super::group_state::GroupState;
use super::member::Identity;
use super::state::Group;

/// The identity of a committing client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committing {
    /// The member.
    pub(crate) who: Identity,
    /// The generation, or the member epoch under the consumer protocol. Negative for a consumer
    /// without a group.
    pub(crate) generation: i32,
}

impl Group {
    /// Checks that the commit comes from a member of this generation, or from outside while the
    /// group has no members.
    pub(crate) fn may_commit(
        &mut self,
        now: Instant,
        commit: &Committing,
    ) -> Result<(), ErrorCode> {
        if commit.generation < 0
            && commit.who.member_id.is_empty()
            && commit.who.instance_id.is_none()
        {
            return if self.state == GroupState::Empty && !self.has_consumers() {
                Ok(())
            } else {
                Err(ErrorCode::UNKNOWN_MEMBER_ID)
            };
        }
        if let Some(group) = self.consumer.as_ref().filter(|group| !group.is_empty()) {
            return group.check(&commit.who, commit.generation);
        }
        self.check_member(&commit.who)?;
        self.check_generation(commit.generation)?;
        if let Some(member) = self.member(&commit.who.member_id) {
            member.renew(now);
        }
        match self.state {
            GroupState::CompletingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            GroupState::Empty
            | GroupState::Dead
            | GroupState::Assigning
            | GroupState::Reconciling => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            GroupState::PreparingRebalance | GroupState::Stable => Ok(()),
        }
    }
}
