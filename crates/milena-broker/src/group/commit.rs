//! Committed offsets, with the check of who may commit.

use milena_core::ErrorCode;
use tokio::time::Instant;

use super::member::Identity;
use super::state::Group;
use super::view::GroupState;

/// The identity of a committing client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Committing {
    /// The member.
    pub(crate) who: Identity,
    /// The generation, or the member epoch under the consumer protocol. Negative for a consumer
    /// without a group.
    pub(crate) generation: i32,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The offset to resume at.
    pub(crate) offset: i64,
    /// The leader epoch of the last consumed record, -1 if it is unknown.
    pub(crate) leader_epoch: i32,
    /// The client's own text.
    pub(crate) metadata: String,
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

    /// Stores a committed offset.
    pub(crate) fn commit(&mut self, topic: &str, partition: i32, committed: Committed) {
        self.offsets
            .insert((topic.to_owned(), partition), committed);
    }

    /// Returns the committed offset of a partition.
    pub(crate) fn committed(&self, topic: &str, partition: i32) -> Option<&Committed> {
        self.offsets.get(&(topic.to_owned(), partition))
    }

    /// Returns all offsets as topic, partition and offset, ordered by topic and partition.
    pub(crate) fn all_committed(&self) -> impl Iterator<Item = (&str, i32, &Committed)> {
        self.offsets
            .iter()
            .map(|((topic, partition), committed)| (topic.as_str(), *partition, committed))
    }

    /// Deletes the committed offset of a partition.
    pub(crate) fn forget_offset(&mut self, topic: &str, partition: i32) {
        self.offsets.remove(&(topic.to_owned(), partition));
    }

    /// Deletes the committed offsets of a topic.
    pub(crate) fn forget_topic(&mut self, topic: &str) {
        self.offsets.retain(|(name, _), _| name != topic);
    }
}
