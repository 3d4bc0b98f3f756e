//! A partition as commits see it.

use milena_core::{LeaderEpoch, Offset};

use super::{Committable, Partition};
use crate::commit::offset_and_metadata::OffsetAndMetadata;

/// A partition as the commit task and the commits of the program see it.
#[derive(Clone, Copy)]
pub(crate) struct Committing<'a> {
    /// The partition whose offsets are committed.
    partition: &'a Partition,
}

impl<'a> Committing<'a> {
    /// Returns this view of `partition`.
    pub(crate) fn of(partition: &'a Partition) -> Self {
        Self { partition }
    }

    /// Returns the offset to commit. `None` if the coordinator has it already, or nothing can be
    /// committed.
    pub(crate) fn next(self) -> Option<Committable> {
        let mut state = self.partition.state.lock();
        if self.partition.is_fenced() {
            return None;
        }
        state.next_commit(&self.partition.place)
    }

    /// Returns `next`, the offset behind a record that is done, to commit it. `None` if that much
    /// is committed already or the record no longer counts.
    pub(crate) fn after(self, next: Offset, epoch: Option<LeaderEpoch>) -> Option<Committable> {
        let mut state = self.partition.state.lock();
        if self.partition.is_fenced() {
            return None;
        }
        state.commit_after(&self.partition.place, next, epoch)
    }

    /// Returns an offset that the user named, to commit it as it is.
    pub(crate) fn named(self, asked: OffsetAndMetadata) -> Committable {
        let mut state = self.partition.state.lock();
        let epoch = asked.leader_epoch;
        let epoch = epoch.or_else(|| state.progress.epoch_of(asked.offset));
        Committable {
            metadata: (!asked.metadata.is_empty()).then_some(asked.metadata),
            explicit: true,
            ..state.committable(&self.partition.place, asked.offset, epoch)
        }
    }

    /// Returns true if the offset is still to be committed, now that its commit is about to be
    /// sent.
    pub(crate) fn is_due(self, offset: &Committable) -> bool {
        self.partition.state.lock().commits.is_due(offset)
    }

    /// Notes that the coordinator has the offset now. Does nothing if a seek or a reset came after
    /// it.
    pub(crate) fn committed_to(self, done: &Committable) {
        self.partition.state.lock().commits.committed_to(done);
    }

    /// Notes the committed offset that was read when the partition was assigned.
    pub(crate) fn note_committed(self, offset: Offset) {
        self.partition.state.lock().commits.note(offset);
    }

    /// Notes that the topic is deleted. Nothing is committed automatically until
    /// [`take_up`](Self::take_up). Returns true if that was not known.
    pub(crate) fn give_up(self) -> bool {
        !self.partition.state.lock().commits.give_up(true)
    }

    /// Notes that the topic exists again. Returns true if it was gone.
    pub(crate) fn take_up(self) -> bool {
        self.partition.state.lock().commits.give_up(false)
    }

    /// Returns true if the topic is known to be deleted.
    pub(crate) fn has_given_up(self) -> bool {
        self.partition.state.lock().commits.has_given_up()
    }
}
