//! A partition as the task that looks up positions sees it.

use std::time::Duration;

use milena_core::{IsolationLevel, LeaderEpoch, Offset};
use tokio::time::Instant;

use super::{FetchFrom, Partition};

/// A partition as the task that looks up positions sees it.
#[derive(Clone, Copy)]
pub(crate) struct PartitionLookup<'a> {
    /// The partition whose position or log end is looked up.
    partition: &'a Partition,
}

impl<'a> PartitionLookup<'a> {
    /// Returns this view of `partition`.
    pub(crate) fn of(partition: &'a Partition) -> Self {
        Self { partition }
    }

    /// Sets the place that a lookup found. Returns false, and changes nothing, if a seek came
    /// first.
    pub(crate) fn resolve(self, turn: u64, to: FetchFrom, epoch: Option<LeaderEpoch>) -> bool {
        let resolved = self
            .partition
            .state
            .lock()
            .resolve(turn, to, epoch, &self.partition.place);
        if resolved {
            self.partition.touch();
        }
        resolved
    }

    /// Returns the offset that was out of range. `None` once its replacement is found.
    pub(crate) fn reset_from(self) -> Option<Offset> {
        self.partition.state.lock().cursor.reset_from()
    }

    /// Notes that the leader's log holds the records that were read, so that the position is sure
    /// again.
    pub(crate) fn validated(self, turn: u64) {
        let mut state = self.partition.state.lock();
        if state.cursor.validate(turn) {
            state.backoffs.lookup_is_well();
            drop(state);
            self.partition.touch();
        }
    }

    /// Returns the time before which its position is not looked up. `None` for no wait.
    pub(crate) fn due(self) -> Option<Instant> {
        self.partition.state.lock().backoffs.lookup_due()
    }

    /// Notes that its position could not be looked up. It is tried again after the wait that
    /// `delay` returns for the number of failures in a row.
    pub(crate) fn back_off(self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.partition
            .state
            .lock()
            .backoffs
            .lookup_failed(now, delay);
    }

    /// Returns the time at which the end of its log must be asked for, since the known one is then
    /// older than `fresh`. `None` to ask now.
    pub(crate) fn end_due(self, fresh: Duration) -> Option<Instant> {
        self.partition.state.lock().ends.due(fresh)
    }

    /// Notes the end of the log, which was asked for at `asked_at`. Does nothing if a fetch was
    /// answered since, which knows the end better.
    pub(crate) fn note_end(self, turn: u64, end: Offset, level: IsolationLevel, asked_at: Instant) {
        let mut state = self.partition.state.lock();
        if state.cursor.turn() == turn {
            state.ends.note_asked(end, level, asked_at);
        }
    }
}
