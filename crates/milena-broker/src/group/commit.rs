//! Committed offsets: who may commit, and what is kept.

use milena_core::ErrorCode;
use tokio::time::Instant;

use super::member::Identity;
use super::state::Group;
use super::view::GroupState;

/// Who commits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committing {
    pub(crate) who: Identity,
    /// Negative for a consumer without a group.
    pub(crate) generation: i32,
}

/// An offset as it was committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
}

impl Group {
    /// Whether the commit is from a member of this generation, or from outside while nobody is in.
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

    pub(crate) fn commit(&mut self, topic: &str, partition: i32, committed: Committed) {
        self.offsets
            .insert((topic.to_owned(), partition), committed);
    }

    pub(crate) fn committed(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.offsets.get(&(topic.to_owned(), partition))
    }

    /// All offsets: topic, partition, offset; by topic and partition.
    pub(crate) fn all_committed(&self) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.offsets
            .iter()
            .map(|((topic, partition), committed)| (topic.as_str(), *partition, committed))
    }

    pub(crate) fn forget_offset(&mut self, topic: &str, partition: i32) {
        self.offsets.remove(&(topic.to_owned(), partition));
    }

    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.offsets.retain(|(name, _), _| name != topic);
    }
}
