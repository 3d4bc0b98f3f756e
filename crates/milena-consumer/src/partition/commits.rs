//! Offsets of a partition to commit, and the offset that the coordinator is known to have.

use std::sync::Arc;

use milena_core::{LeaderEpoch, Offset, TopicPartition};

/// An offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committable {
    /// The partition.
    pub(crate) place: TopicPartition,
    /// The offset at which the next owner resumes.
    pub(crate) offset: Offset,
    /// The leader epoch of the record before it. `None` if it is unknown.
    pub(crate) epoch: Option<LeaderEpoch>,
    /// The text for this commit. `None` for the text that all commits carry.
    pub(crate) metadata: Option<Arc<str>>,
    /// True if the user named the offset. It may then be lower than the one committed before.
    pub(crate) explicit: bool,
    /// The number of this offset among all that were to be committed of the partition. Higher is
    /// newer.
    pub(crate) word: u64,
}

/// The state of a partition's commits.
#[derive(Debug, Default)]
pub(super) struct CommitState {
    /// The offset that the coordinator has. `None` if that is not known.
    committed: Option<Offset>,
    /// Counts the offsets that were to be committed, and numbers them.
    words: u64,
    /// Offsets with a lower number are stale. A seek, a reset, or an offset that the user named
    /// came after them.
    since: u64,
    /// True while the topic is deleted, so that nothing can be committed for it.
    given_up: bool,
}

impl CommitState {
    /// Returns the number for the next offset to commit.
    pub(super) fn next_word(&mut self) -> u64 {
        self.words += 1;
        self.words
    }

    /// Returns the offset that the coordinator has. `None` if that is not known.
    pub(super) fn committed(&self) -> Option<Offset> {
        self.committed
    }

    /// Returns true if the coordinator has this offset or a higher one.
    pub(super) fn holds(&self, offset: Offset) -> bool {
        self.committed.is_some_and(|done| done >= offset)
    }

    /// Starts over after the position was moved. Neither the offset committed before nor a commit
    /// in flight stops the next commit.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            since: self.next_word(),
            words: self.words,
            ..Self::default()
        };
    }

    /// Returns true if the offset is still to be committed, now that its commit is about to be
    /// sent.
    pub(super) fn is_due(&self, offset: &Committable) -> bool {
        offset.word >= self.since && (offset.explicit || !self.holds(offset.offset))
    }

    /// Notes that the coordinator has the offset now. Does nothing if a seek or a reset came after
    /// it.
    pub(super) fn committed_to(&mut self, done: &Committable) {
        if done.word < self.since {
            return;
        }
        // Older offsets are stale then, even higher ones, since the user may have moved back.
        if done.explicit {
            self.since = done.word;
            self.committed = Some(done.offset);
        } else {
            self.committed = self.committed.max(Some(done.offset));
        }
    }

    /// Notes the committed offset that was read when the partition was assigned.
    pub(super) fn note(&mut self, offset: Offset) {
        self.committed = Some(offset);
    }

    /// Notes whether the topic is deleted, so that nothing can be committed. Returns the state
    /// before.
    pub(super) fn give_up(&mut self, given_up: bool) -> bool {
        std::mem::replace(&mut self.given_up, given_up)
    }

    /// Returns true if the topic is known to be deleted.
    pub(super) fn has_given_up(&self) -> bool {
        self.given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to_commit(state: &mut CommitState, offset: u32, explicit: bool) -> Committable {
        Committable {
            place: TopicPartition::new("orders", 0),
            offset: offset.into(),
            epoch: None,
            metadata: None,
            explicit,
            word: state.next_word(),
        }
    }

    #[test]
    fn a_commit_from_before_a_seek_does_not_count() {
        let mut state = CommitState::default();
        let flying = to_commit(&mut state, 9, false);
        state.begin_anew();
        state.committed_to(&flying);
        assert!(!state.holds(1.into()) && !state.is_due(&flying));
    }

    #[test]
    fn an_offset_that_the_user_named_may_move_back_and_makes_older_ones_stale() {
        let mut state = CommitState::default();
        state.note(9.into());
        let older = to_commit(&mut state, 12, false);
        let named = to_commit(&mut state, 3, true);
        assert!(state.is_due(&older) && state.is_due(&named));
        state.committed_to(&named);
        assert_eq!(state.committed(), Some(3.into()));
        assert!(!state.is_due(&older));
    }
}
