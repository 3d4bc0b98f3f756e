//! Offsets of a partition to commit, and the offset that the coordinator is known to have.

use std::sync::Arc;

use milena_core::{LeaderEpoch, Offset, TopicPartition};

use super::{Partition, PartitionState};
use crate::offset_and_metadata::OffsetAndMetadata;

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
pub(super) struct Commits {
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

impl Commits {
    /// Returns the number for the next offset to commit.
    fn next_word(&mut self) -> u64 {
        self.words += 1;
        self.words
    }

    /// Returns true if the coordinator has this offset or a higher one.
    fn holds(&self, offset: Offset) -> bool {
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
}

impl Partition {
    /// Returns the offset to commit. `None` if the coordinator has it already, or nothing can be
    /// committed.
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

    /// Returns `next`, the offset behind a record that is done, to commit it. `None` if that much
    /// is committed already or the record no longer counts.
    pub(crate) fn to_commit_after(
        &self,
        next: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> Option<Committable> {
        let mut state = self.state.lock();
        state.absorb();
        // A record at or above the position was read before the partition was revoked and assigned
        // again. Its offset is another member's to commit.
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

    /// Returns an offset that the user named, to commit it as it is.
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

    /// Returns true if the offset is still to be committed, now that its commit is about to be
    /// sent.
    pub(crate) fn is_due(&self, offset: &Committable) -> bool {
        let commits = &self.state.lock().commits;
        offset.word >= commits.since && (offset.explicit || !commits.holds(offset.offset))
    }

    /// Notes that the coordinator has the offset now. Does nothing if a seek or a reset came after
    /// it.
    pub(crate) fn committed_to(&self, done: &Committable) {
        let commits = &mut self.state.lock().commits;
        if done.word < commits.since {
            return;
        }
        // Older offsets are stale then, even higher ones, since the user may have moved back.
        if done.explicit {
            commits.since = done.word;
            commits.committed = Some(done.offset);
        } else {
            commits.committed = commits.committed.max(Some(done.offset));
        }
    }

    /// Notes the committed offset that was read when the partition was assigned.
    pub(crate) fn note_committed(&self, offset: Offset) {
        self.state.lock().commits.committed = Some(offset);
    }

    /// Notes that the topic is deleted. Nothing is committed automatically until `take_up_commits`.
    /// Returns true if that was not known.
    pub(crate) fn give_up_commits(&self) -> bool {
        let commits = &mut self.state.lock().commits;
        !std::mem::replace(&mut commits.given_up, true)
    }

    /// Notes that the topic exists again. Returns true if it was gone.
    pub(crate) fn take_up_commits(&self) -> bool {
        let commits = &mut self.state.lock().commits;
        std::mem::replace(&mut commits.given_up, false)
    }

    /// Returns true if the topic is known to be deleted.
    pub(crate) fn has_given_up_commits(&self) -> bool {
        self.state.lock().commits.given_up
    }
}

impl PartitionState {
    /// Returns true if records were done or handed out whose offsets are not committed.
    pub(super) fn is_ahead_of_commits(&mut self) -> bool {
        self.absorb();
        let done = self.tracker.committable();
        let since = self.commits.committed.max(Some(self.begun));
        self.place.offset().is_some() && since.is_some_and(|since| done > since)
    }
}
