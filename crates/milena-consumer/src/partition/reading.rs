//! A partition as the readers of its batches see it. They are a lane or a receiver.

use std::time::Duration;

use milena_core::{LeaderEpoch, Offset};
use milena_fetch::{BatchEnd, Opened};
use tokio::time::Instant;

use super::{Given, Partition};

/// A partition as the reader of its batches sees it, which is a lane or a receiver.
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// The partition whose batches are read.
    partition: &'a Partition,
}

impl<'a> Reading<'a> {
    /// Returns this view of `partition`.
    pub(crate) fn of(partition: &'a Partition) -> Self {
        Self { partition }
    }

    /// Returns the next batch to read, if one is there. The flag is true if the partition has to be
    /// added to the openers, since batches wait for them.
    ///
    /// One batch is in hand at a time, until it is [`passed`](Self::passed),
    /// [put back](Self::put_back) or given up.
    pub(crate) fn pull(self) -> (Option<Given>, bool) {
        let mut state = self.partition.state.lock();
        if self.partition.is_stopping() || state.inbox.is_in_hand() {
            return (None, false);
        }
        let pulled = state.pull();
        drop(state);
        if pulled.freed {
            self.partition.touch();
        }
        (pulled.given, pulled.for_openers)
    }

    /// Waits until [`pull`](Self::pull) may give something, or the partition is to be let go.
    pub(crate) async fn readable(self) {
        if self.partition.state.lock().has_something() || self.partition.is_stopping() {
            return;
        }
        tokio::select! {
            () = self.partition.readable.notified() => {}
            () = self.partition.lifetime.dispatch().stopped() => {}
        }
    }

    /// Takes back the rest of a batch in hand. The next reader gets it.
    pub(crate) fn put_back(self, opened: Opened) {
        let mut state = self.partition.state.lock();
        if !self.partition.is_fenced() && state.put_back(opened) {
            self.partition.tell_readable();
        }
    }

    /// Gives up the batch in hand, which cannot be read, and drops the batches after it. All is
    /// fetched again from the first unread record, after a wait. `delay` returns the wait for the
    /// number of times in a row.
    pub(crate) fn spoiled(self, turn: u64, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let mut state = self.partition.state.lock();
        if state.cursor.turn() == turn {
            state.spoiled(now, delay);
            self.partition.tell_of_more(&state);
            self.partition.touch();
        }
    }

    /// Returns the number of times in a row that this place was found unreadable.
    pub(crate) fn times_spoiled(self) -> u32 {
        self.partition.state.lock().backoffs.times_spoiled()
    }

    /// Returns the end of a batch that cannot be read, if it can be believed. It must lie within
    /// the log and after the position.
    pub(crate) fn believable(self, end: BatchEnd) -> Option<Offset> {
        let state = self.partition.state.lock();
        let (BatchEnd::Told(next) | BatchEnd::Following(Some(next))) = end else {
            return None;
        };
        state.believes(next).then_some(next)
    }

    /// Moves the position to `next`, the end of the batch in hand, and lets go of the batch. All of
    /// its records were delivered or are in the user's hands.
    pub(crate) fn passed(self, turn: u64, next: Offset, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.partition.state.lock();
        let current = state.cursor.turn() == turn && !self.partition.is_fenced();
        if current {
            state.progress.read_to(next, epoch);
            state.let_go();
            self.partition.tell_of_more(&state);
        }
        current
    }

    /// Notes that all records below `next` were delivered, of a batch that stays in hand.
    pub(crate) fn note_read(self, turn: u64, next: Offset, epoch: Option<LeaderEpoch>) {
        let mut state = self.partition.state.lock();
        if state.cursor.turn() == turn && !self.partition.is_fenced() {
            state.progress.read_to(next, epoch);
        }
    }

    /// Notes that a receiver returned the records below `next`, of the batch in hand.
    #[inline]
    pub(crate) fn hand_out(self, next: Offset) {
        self.partition.published.hand_out(next);
    }
}
