//! What of a partition is to be committed, and what the coordinator is known to hold of it.

use std::sync::Arc;

use milena_core::{LeaderEpoch, Offset, TopicPartition};

use super::{Partition, State};
use crate::committing::OffsetAndMetadata;

/// An offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committable {
    pub(crate) place: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) epoch: Option<LeaderEpoch>,
    /// A text of its own, in place of the one that all commits carry.
    pub(crate) metadata: Option<Arc<str>>,
    /// It was named by the user, who may go back with it.
    pub(crate) explicit: bool,
    /// Its place among all that was ever to be committed of the partition.
    pub(crate) word: u64,
}

/// What is known of a partition's commits.
#[derive(Debug, Default)]
pub(super) struct Commits {
    /// The offset that the coordinator holds; `None` where that is not known.
    committed: Option<Offset>,
    /// Counts the offsets that were to be committed.
    words: u64,
    /// What was to be committed before this word no longer counts: a seek, a reset, or an offset that the user named came after it.
    since: u64,
    /// The topic is gone, and so is what could be committed of it.
    given_up: bool,
}

impl Commits {
    fn next_word(&mut self) -> u64 {
        self.words += 1;
        self.words
    }

    fn holds(&self, offset: Offset) -> bool {
        self.committed.is_some_and(|done| done >= offset)
    }

    /// The position moves: neither what was committed before, nor a commit that is on its way, stops the next one.
    pub(super) fn begin_anew(&mut self) {
        *self = Self {
            since: self.next_word(),
            words: self.words,
            ..Self::default()
        };
    }
}

impl Partition {
    /// The offset to commit, when it differs from what is committed.
    pub(crate) fn to_commit(&self) -> Option<Committable> {
        let mut state = self.state.lock();
        if self.is_fenced() || state.place.offset().is_none() || state.commits.given_up {
            return None;
        }
        state.absorb();
        let offset = state.tracker.committable();
        if state.commits.holds(offset) {
            return None;
        }
        Some(Committable {
            place: self.place.clone(),
            offset,
            epoch: state.epochs.before(offset),
            metadata: None,
            explicit: false,
            word: state.commits.next_word(),
        })
    }

    /// One past a record that is done; `None` where that much is committed already.
    pub(crate) fn to_commit_after(
        &self,
        next: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> Option<Committable> {
        let mut state = self.state.lock();
        state.absorb();
        // What was read before the partition came back to this member is others' to commit by now.
        let known = state.place.offset().is_some() && next <= state.tracker.position();
        if self.is_fenced() || !known || state.commits.holds(next) {
            return None;
        }
        Some(Committable {
            place: self.place.clone(),
            offset: next,
            epoch,
            metadata: None,
            explicit: false,
            word: state.commits.next_word(),
        })
    }

    /// What the user names.
    pub(crate) fn to_commit_as(&self, asked: OffsetAndMetadata) -> Committable {
        let mut state = self.state.lock();
        Committable {
            place: self.place.clone(),
            offset: asked.offset,
            epoch: asked.leader_epoch.or(state.epochs.of(asked.offset)),
            metadata: (!asked.metadata.is_empty()).then_some(asked.metadata),
            explicit: true,
            word: state.commits.next_word(),
        }
    }

    /// Whether the offset is still to be committed, now that it is its commit's turn.
    pub(crate) fn is_due(&self, offset: &Committable) -> bool {
        let commits = &self.state.lock().commits;
        offset.word >= commits.since && (offset.explicit || !commits.holds(offset.offset))
    }

    /// The coordinator holds the offset now. An answer that a seek or a reset has overtaken says nothing.
    pub(crate) fn committed_to(&self, done: &Committable) {
        let commits = &mut self.state.lock().commits;
        if done.word < commits.since {
            return;
        }
        if done.explicit {
            commits.since = done.word;
            commits.committed = Some(done.offset);
        } else {
            commits.committed = commits.committed.max(Some(done.offset));
        }
    }

    /// What the group committed, as it was read when the partition was assigned.
    pub(crate) fn note_committed(&self, offset: Offset) {
        self.state.lock().commits.committed = Some(offset);
    }

    /// Its topic is gone: nothing of it is committed by itself any more. Returns whether that is news.
    pub(crate) fn give_up_commits(&self) -> bool {
        let commits = &mut self.state.lock().commits;
        !std::mem::replace(&mut commits.given_up, true)
    }

    /// Its topic is there again.
    pub(crate) fn take_up_commits(&self) -> bool {
        let commits = &mut self.state.lock().commits;
        std::mem::replace(&mut commits.given_up, false)
    }

    /// Whether its topic is known to be gone.
    pub(crate) fn has_given_up_commits(&self) -> bool {
        self.state.lock().commits.given_up
    }
}

impl State {
    /// Whether records were done, or given out, whose offsets are not committed.
    pub(super) fn is_ahead_of_commits(&mut self) -> bool {
        self.absorb();
        let done = self.tracker.committable();
        let since = self.commits.committed.max(Some(self.begun));
        self.place.offset().is_some() && since.is_some_and(|since| done > since)
    }
}
