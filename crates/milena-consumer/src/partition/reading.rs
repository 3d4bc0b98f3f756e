//! What is read of a partition: batches pulled from its queue, records delivered and settled, and what of it may be committed.

use std::sync::Arc;

use milena_core::{LeaderEpoch, Offset, Result, Timestamp, TopicPartition};
use milena_protocol::batch::Batch;
use tokio::time::Instant;

use super::{Partition, Place};
use crate::budget::Pinned;
use crate::chunk::Step;
use crate::offsets::Ticket;

/// A batch to read, and what must still be true when its records are delivered.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) batch: Batch,
    /// Records below it were read before.
    pub(crate) from: Offset,
    pub(crate) turn: u64,
    pub(crate) pinned: Arc<Pinned>,
}

/// An offset to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committable {
    pub(crate) place: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) epoch: Option<LeaderEpoch>,
}

impl Partition {
    /// The next batch to read, if one is there.
    ///
    /// # Errors
    /// What the partition cannot be read past; told once, then the same place is fetched again.
    pub(crate) fn pull(&self) -> Result<Option<Pulled>> {
        let mut state = self.state.lock();
        if self.is_stopping() {
            return Ok(None);
        }
        loop {
            let from = state.tracker.position();
            let Some(chunk) = state.queue.front_mut() else {
                return match state.failure.take() {
                    Some(error) => {
                        self.fetch.notify_one();
                        Err(error.at(&self.place))
                    }
                    None => Ok(None),
                };
            };
            match chunk.step(from) {
                Ok(Step::Batch(batch)) => {
                    let pinned = Arc::clone(chunk.pinned());
                    state.reading = Timestamp::from_wire(batch.header().max_timestamp);
                    let turn = state.turn;
                    return Ok(Some(Pulled {
                        batch,
                        from,
                        turn,
                        pinned,
                    }));
                }
                Ok(Step::Skip(next)) => state.tracker.skip_to(next),
                Ok(Step::End) => {
                    let len = chunk.len();
                    state.queue.pop_front();
                    state.queued -= len;
                    self.fetch.notify_one();
                }
                Err(error) => {
                    state.restart_at(from);
                    self.fetch.notify_one();
                    return Err(error.at(&self.place));
                }
            }
        }
    }

    /// Whether reading would give something at once.
    pub(crate) fn has_something(&self) -> bool {
        let state = self.state.lock();
        !state.queue.is_empty() || state.failure.is_some()
    }

    /// Waits until [`pull`](Self::pull) may give something, or the partition is to be let go.
    pub(crate) async fn readable(&self) {
        if self.has_something() || self.is_stopping() {
            return;
        }
        tokio::select! {
            () = self.readable.notified() => {}
            () = self.stopping.cancelled() => {}
        }
    }

    /// The batch pulled last cannot be read: what follows is dropped, and fetched again from its first unread record.
    pub(crate) fn refetch(&self, turn: u64) {
        let mut state = self.state.lock();
        if state.turn == turn {
            let from = state.tracker.position();
            state.restart_at(from);
            self.fetch.notify_one();
        }
    }

    // Delivering.

    /// A handler is about to get the record; `None` when it must not, since the partition was sought, revoked or is being drained.
    pub(crate) fn deliver(
        &self,
        turn: u64,
        offset: Offset,
        epoch: Option<LeaderEpoch>,
        now: Instant,
    ) -> Option<Ticket> {
        let mut state = self.state.lock();
        if state.turn != turn || self.is_stopping() {
            return None;
        }
        state.epochs.note(offset, epoch);
        state.oldest.push_back((offset, now));
        Some(state.tracker.deliver(offset))
    }

    /// The record ended well; returns `false` when its end comes too late to count.
    pub(crate) fn settle(&self, ticket: Ticket) -> bool {
        let mut state = self.state.lock();
        if self.is_fenced() || !state.tracker.settle(ticket) {
            return false;
        }
        let low = state.tracker.committable();
        while state
            .oldest
            .front()
            .is_some_and(|(offset, _)| *offset < low)
        {
            state.oldest.pop_front();
        }
        true
    }

    /// All records below `next` were delivered, or are in the user's hands.
    pub(crate) fn passed(&self, turn: u64, next: Offset, epoch: Option<LeaderEpoch>) -> bool {
        let mut state = self.state.lock();
        if state.turn != turn || self.is_fenced() {
            return false;
        }
        let from = state.tracker.position();
        state.epochs.note(from, epoch);
        state.tracker.skip_to(next);
        true
    }

    /// Whether a record of that turn may still be delivered.
    pub(crate) fn is_current(&self, turn: u64) -> bool {
        !self.is_stopping() && self.state.lock().turn == turn
    }

    /// The offset to commit, when it differs from what is committed.
    pub(crate) fn to_commit(&self) -> Option<Committable> {
        let mut state = self.state.lock();
        if self.is_fenced() || !matches!(state.place, Place::At(_)) {
            return None;
        }
        let offset = state.tracker.committable();
        if state.committed.is_some_and(|done| done >= offset) {
            return None;
        }
        Some(Committable {
            place: self.place.clone(),
            offset,
            epoch: state.epochs.before(offset),
        })
    }

    /// The coordinator holds `offset` now.
    pub(crate) fn committed_to(&self, offset: Offset) {
        let mut state = self.state.lock();
        state.committed = state.committed.max(Some(offset));
    }
}
