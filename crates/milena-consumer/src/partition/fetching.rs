//! Fetching of a partition. It decides what to fetch next, and applies the answers.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, LeaderEpoch, Offset};
use milena_fetch::{Budget, Chunk};
use tokio::time::Instant;

use super::{FetchFrom, Partition};

/// The content of a partition's entry in a fetch request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The offset to fetch from.
    pub(crate) offset: Offset,
    /// The turn of the partition. An answer for another turn is stale.
    pub(crate) turn: u64,
    /// The leader epoch of the last batch that was fetched. `None` if it is unknown.
    pub(crate) last_epoch: Option<LeaderEpoch>,
    /// The size in bytes of the largest batch in recent answers.
    pub(crate) largest_batch: usize,
    /// True if no fetched batch waits to be read and at most one delivered record is unsettled.
    pub(crate) is_empty: bool,
}

/// The decision whether to fetch a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Fetch(Wish),
    /// Fetch it once some of the batches that wait here are read.
    Full,
    /// Do not fetch it. It is paused, failed, in a backoff, or has no known position.
    Nothing,
}

impl Partition {
    /// Returns what to fetch next. `full` returns, for the size of the largest batch, how many
    /// waiting bytes are enough.
    pub(crate) fn want(&self, now: Instant, full: impl FnOnce(usize) -> usize) -> Want {
        let mut state = self.state.lock();
        let FetchFrom::At(offset) = state.place else {
            return Want::Nothing;
        };
        let held = state.pauses.is_paused()
            || state.failure.is_some()
            || state.quiet_until.is_some_and(|until| until > now)
            || self.is_stopping();
        if held {
            return Want::Nothing;
        }
        if state.queued >= full(state.largest_batch) {
            return Want::Full;
        }
        // Records that lanes have not done yet hold memory too. It is freed as they finish, without
        // a further fetch.
        let is_done = state.tracker.unsettled() <= FEW;
        state.starved = !is_done;
        Want::Fetch(Wish {
            offset,
            turn: state.turn,
            last_epoch: state.last_epoch,
            largest_batch: state.largest_batch,
            is_empty: state.queue.is_empty() && is_done,
        })
    }

    /// Returns the time before which it is not fetched. `None` for no wait.
    pub(crate) fn quiet_until(&self) -> Option<Instant> {
        self.state.lock().quiet_until
    }

    /// Takes the batches that a fetch at `from` returned, up to `next`. Returns false if a seek, a
    /// reset or a revocation came first.
    pub(crate) fn fetched(
        &self,
        turn: u64,
        from: Offset,
        chunk: Chunk,
        next: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> bool {
        let mut state = self.state.lock();
        // Two answers for the same offset, from an old and a new leader, count once. An answer that
        // comes while the position is unsure does not count.
        if state.turn != turn || state.place != FetchFrom::At(from) || self.is_fenced() {
            return false;
        }
        // The header of a batch may be wrong. An offset behind the log's end would be out of range.
        let next = match state.high_watermark {
            Some(end) if end > from => next.min(end),
            _ => next,
        };
        state.place = FetchFrom::At(next);
        state.cut_short = 0;
        state.last_epoch = epoch.or(state.last_epoch);
        state.queued += chunk.bytes();
        state.queue.push_back(chunk);
        drop(state);
        self.tell_readable();
        true
    }

    /// Applies what an answer says besides records. Ends backoffs and trouble, since the fetch
    /// succeeded.
    pub(crate) fn note_ends(
        &self,
        turn: u64,
        largest_batch: usize,
        high_watermark: Option<Offset>,
        stable_end: Option<Offset>,
    ) {
        let mut state = self.state.lock();
        if state.turn == turn {
            state.largest_batch = if largest_batch == 0 {
                state.largest_batch
            } else {
                largest_batch.max(state.largest_batch / 2)
            };
            if state.is_read_to_the_end() {
                // New records may have come just now. The time before, without any to deliver, was
                // no standstill.
                state.moved = Instant::now();
            }
            state.high_watermark = high_watermark.or(state.high_watermark);
            state.stable_end = stable_end.or(state.stable_end);
            state.failures = 0;
            state.quiet_until = None;
            state.is_well(&self.place);
            state.resets = 0;
        }
    }

    /// Doubles the size to ask for, up to `most`. Called after an answer without records though the
    /// log has more, since the next batch is larger than the `asked` bytes.
    pub(crate) fn ask_for_more(&self, turn: u64, asked: u32, most: usize) {
        let mut state = self.state.lock();
        if state.turn == turn {
            let twice = (asked as usize).saturating_mul(2).min(most);
            state.largest_batch = state.largest_batch.max(twice);
        }
    }

    /// Notes that an answer to a fetch of this partition alone could not be read. From now on it is
    /// fetched alone, after a backoff. Returns the number of times in a row.
    pub(crate) fn ask_alone(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) -> u32 {
        let mut state = self.state.lock();
        let times = state.alone.map_or(1, |times| times.saturating_add(1));
        state.alone = Some(times);
        state.quiet_until = Some(now + delay(state.failures));
        state.failures = state.failures.saturating_add(1);
        times
    }

    /// Notes that an answer to a fetch of this partition alone was read. It is fetched together
    /// with others again.
    pub(crate) fn ask_with_others(&self) {
        self.state.lock().alone = None;
    }

    pub(crate) fn is_asked_alone(&self) -> bool {
        self.state.lock().alone.is_some()
    }

    /// Notes that an answer held less than one batch, though the batch would have fitted. Returns
    /// the number of times in a row.
    pub(crate) fn cut_short(&self) -> u32 {
        let mut state = self.state.lock();
        state.cut_short = state.cut_short.saturating_add(1);
        state.cut_short
    }

    /// Notes an error that passes. The partition is not fetched before the wait that `delay`
    /// returns for the number of failures in a row.
    pub(crate) fn back_off(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let mut state = self.state.lock();
        state.quiet_until = Some(now + delay(state.failures));
        state.failures = state.failures.saturating_add(1);
    }

    /// Stores an error for the reader. Nothing is fetched until the reader has got it.
    pub(crate) fn fail(&self, turn: u64, error: Error) {
        let mut state = self.state.lock();
        if state.turn == turn && state.failure.is_none() {
            state.failure = Some(error);
        }
        drop(state);
        self.tell_readable();
    }

    /// Copies waiting batches out of frames that nothing else holds.
    pub(crate) fn copy_out(&self, budget: &Arc<Budget>) {
        for chunk in &mut self.state.lock().queue {
            chunk.copy_out(budget);
        }
    }
}

/// The most unsettled records with which another batch may be fetched. So few hold little memory.
const FEW: usize = 1;
