//! Readings of the clock that a lane uses twice. One reading costs about as much as all the rest of
//! an attempt.

use std::time::Duration;

use milena_core::Offset;
use tokio::time::Instant;

/// The last readings of the clock of one lane.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Time at which the previous record was settled. The next record begins at the same time,
    /// which saves a reading of the clock. `None` if the clock was not read, or the lane waited
    /// since.
    settled: Option<Instant>,
    /// The previous record. `None` unless its handler answered without ever waiting.
    last: Option<Unwaited>,
}

/// A record whose handler answered without ever waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unwaited {
    /// Time of its delivery.
    pub(super) delivered: Instant,
    /// Its offset.
    pub(super) offset: Offset,
    /// Index of its route.
    pub(super) route: usize,
}

impl Pace {
    /// Notes the time at which the record was settled. `None` if the clock was not read.
    pub(super) fn settled_at(&mut self, now: Option<Instant>) {
        self.settled = now;
    }

    /// Notes a record whose handler answered without ever waiting.
    pub(super) fn did_not_wait(&mut self, record: Option<Unwaited>) {
        self.last = record;
    }

    /// Returns the time at which the next record begins.
    #[inline]
    pub(super) fn next(&mut self) -> Instant {
        self.settled.take().unwrap_or_else(Instant::now)
    }

    /// Forgets the last reading, since a pause follows. Returns true if the last record may have
    /// blocked its thread, which only another reading shows.
    pub(super) fn rest(&mut self) -> bool {
        self.settled = None;
        self.last.is_some()
    }

    /// Returns the last record, and for how long its handler blocked its thread, if that was long.
    #[inline]
    pub(super) fn blocked(&mut self, now: Instant) -> Option<(Unwaited, Duration)> {
        let last = self.last.take()?;
        let elapsed = now.saturating_duration_since(last.delivered);
        (elapsed >= BLOCKED).then_some((last, elapsed))
    }
}

/// Time after which a handler that never waits is reported to block its thread.
const BLOCKED: Duration = Duration::from_secs(1);
