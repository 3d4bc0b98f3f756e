//! Times at which a partition's position, and the end of its log, may be looked up.

use std::time::Duration;

use milena_core::{IsolationLevel, Offset};
use tokio::time::Instant;

use super::Partition;

impl Partition {
    /// Returns the time before which its position is not looked up. `None` for no wait.
    pub(crate) fn lookup_due(&self) -> Option<Instant> {
        let state = self.state.lock();
        let quiet = state.quiet_until.filter(|_| state.resets > 0);
        state.lookup.0.max(quiet)
    }

    /// Notes that its position could not be looked up. It is tried again after the wait that
    /// `delay` returns for the number of failures in a row.
    pub(crate) fn lookup_back_off(&self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        let mut state = self.state.lock();
        let failures = state.lookup.1;
        state.lookup = (Some(now + delay(failures)), failures.saturating_add(1));
    }

    /// Returns the time at which the end of its log must be asked for, since the known one is then
    /// older than `fresh`. `None` to ask now.
    pub(crate) fn end_due(&self, fresh: Duration) -> Option<Instant> {
        self.state.lock().end_at.map(|at| at + fresh)
    }

    /// Notes that a broker answered a request about it. An end that the answer did not report has
    /// not changed.
    pub(crate) fn end_asked(&self, now: Instant) {
        self.state.lock().end_at = Some(now);
    }

    /// Notes the end of the log, which was asked for at `asked_at`. Does nothing if a fetch was
    /// answered since, which knows the end better.
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
