//! When a partition's position is looked up, and where its log ends.

use std::time::Duration;

use milena_core::Offset;
use milena_protocol::fetch::IsolationLevel;
use tokio::time::Instant;

use super::Partition;

impl Partition {
    /// Before when its position is not looked up.
    pub(crate) fn lookup_due(&self) -> Option<Instant> {
        let state = self.state.lock();
        let quiet = state.quiet_until.filter(|_| state.resets > 0);
        state.lookup.0.max(quiet)
    }

    /// Its position could not be looked up: it is tried again after the wait that `delay` gives for the number of failures in a row.
    pub(crate) fn lookup_back_off(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let mut state = self.state.lock();
        let failures = state.lookup.1;
        state.lookup = (Some(now + delay(failures)), failures.saturating_add(1));
    }

    /// Before when nobody has to ask where its log ends: what was told may be of the age of `fresh`.
    pub(crate) fn end_due(&self, fresh: Duration) -> Option<Instant> {
        self.state.lock().end_at.map(|at| at + fresh)
    }

    /// A fetch of it was answered: what it did not tell has not changed.
    pub(crate) fn end_asked(&self, now: Instant) {
        self.state.lock().end_at = Some(now);
    }

    /// Its leader told where the log ends, asked at `asked_at`; a fetch that was answered since knows better.
    pub(crate) fn note_end(
        &self,
        turn: u64,
        end: Offset,
        level: IsolationLevel,
        asked_at: Instant,
    ) {
        let mut state = self.state.lock();
        if state.turn != turn || state.end_at.is_some_and(|at| at > asked_at) {
            return;
        }
        match level {
            IsolationLevel::ReadCommitted => state.stable_end = Some(end),
            IsolationLevel::ReadUncommitted => state.high_watermark = Some(end),
        }
    }
}
