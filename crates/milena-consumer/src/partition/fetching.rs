//! What is fetched of a partition, and what becomes of the answers.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, LeaderEpoch, Offset};
use tokio::time::Instant;

use super::{Partition, Place};
use crate::budget::Budget;
use crate::chunk::Chunk;

/// What a fetch of a partition is to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) offset: Offset,
    pub(crate) turn: u64,
    pub(crate) last_epoch: Option<LeaderEpoch>,
    pub(crate) largest_batch: usize,
    /// Nothing of it waits to be read.
    pub(crate) is_empty: bool,
}

/// Whether a partition is to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    Fetch(Wish),
    /// Not before some of what waits here was read.
    Full,
    /// It is paused, failed, quiet for now or without a position.
    Nothing,
}

impl Partition {
    /// What to fetch next; `full` bytes that wait are enough.
    pub(crate) fn want(&self, now: Instant, full: impl FnOnce(usize) -> usize) -> Want {
        let mut state = self.state.lock();
        let Place::At(offset) = state.place else {
            return Want::Nothing;
        };
        let held = state.pauses.is_paused()
            || state.failure.is_some()
            || state.quiet_until.is_some_and(|until| until > now)
            || self.stopping.is_cancelled();
        if held {
            return Want::Nothing;
        }
        if state.queued >= full(state.largest_batch) {
            return Want::Full;
        }
        // What lanes have not done yet holds memory too, and lets it go without more being fetched.
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

    pub(crate) fn quiet_until(&self) -> Option<Instant> {
        self.state.lock().quiet_until
    }

    /// Takes what a fetch brought, up to `next`; `false` when a seek, a reset or a revocation has overtaken it.
    pub(crate) fn fetched(
        &self,
        turn: u64,
        from: Offset,
        chunk: Chunk,
        next: Offset,
        epoch: Option<LeaderEpoch>,
    ) -> bool {
        let mut state = self.state.lock();
        // Two answers for one offset, from a leader and the next, or one that comes while the position is unsure, count once at most.
        if state.turn != turn || state.place != Place::At(from) || self.is_fenced() {
            return false;
        }
        // A header may say anything, and what lies behind the log's end would be out of its range.
        let next = match state.high_watermark {
            Some(end) if end > from => next.min(end),
            _ => next,
        };
        state.place = Place::At(next);
        state.cut_short = 0;
        state.last_epoch = epoch.or(state.last_epoch);
        state.queued += chunk.len();
        state.queue.push_back(chunk);
        drop(state);
        self.tell_readable();
        true
    }

    /// What an answer told besides records.
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
                // What it may lag by from now on has come just now.
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

    /// The answer held nothing though the log does: its next batch is larger than the `asked` bytes. Twice as much is asked for next.
    pub(crate) fn ask_for_more(&self, turn: u64, asked: u32, most: usize) {
        let mut state = self.state.lock();
        if state.turn == turn {
            let twice = (asked as usize).saturating_mul(2).min(most);
            state.largest_batch = state.largest_batch.max(twice);
        }
    }

    /// No answer to a fetch of it alone could be read; gives how often in a row. It is asked for alone from now on, after a wait.
    pub(crate) fn ask_alone(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) -> u32 {
        let mut state = self.state.lock();
        let times = state.alone.map_or(1, |times| times.saturating_add(1));
        state.alone = Some(times);
        state.quiet_until = Some(now + delay(state.failures));
        state.failures = state.failures.saturating_add(1);
        times
    }

    /// An answer to a fetch of it alone was read.
    pub(crate) fn ask_with_others(&self) {
        self.state.lock().alone = None;
    }

    pub(crate) fn is_asked_alone(&self) -> bool {
        self.state.lock().alone.is_some()
    }

    /// An answer held less than one batch, which would have fitted; gives how often in a row.
    pub(crate) fn cut_short(&self) -> u32 {
        let mut state = self.state.lock();
        state.cut_short = state.cut_short.saturating_add(1);
        state.cut_short
    }

    /// A passing error: not fetched again before the wait that `delay` gives for the number of failures in a row.
    pub(crate) fn back_off(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let mut state = self.state.lock();
        state.quiet_until = Some(now + delay(state.failures));
        state.failures = state.failures.saturating_add(1);
    }

    /// An error that its reader has to hear of; nothing is fetched before that.
    pub(crate) fn fail(&self, turn: u64, error: Error) {
        let mut state = self.state.lock();
        if state.turn == turn && state.failure.is_none() {
            state.failure = Some(error);
        }
        drop(state);
        self.tell_readable();
    }

    /// Copies what waits here out of frames that nothing else holds.
    pub(crate) fn copy_out(&self, budget: &Arc<Budget>) {
        for chunk in &mut self.state.lock().queue {
            chunk.copy_out(budget);
        }
    }
}

/// So few records that are not done hold no memory that another batch would have to wait for.
const FEW: usize = 1;
