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
    /// The last reading for a delivery, after the tick in which it was made. Valid in that tick
    /// only. `None` if there is no reading since the lane waited last.
    read: Option<(Duration, Instant)>,
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
        match self.settled.take() {
            Some(settled) => settled,
            None => self.in_this_tick(),
        }
    }

    /// Returns the time, or an earlier one of the same tick.
    #[inline]
    fn in_this_tick(&mut self) -> Instant {
        let tick = tick();
        match self.read {
            Some((read, now)) if Some(read) == tick => now,
            _ => {
                let now = Instant::now();
                self.read = tick.map(|tick| (tick, now));
                now
            }
        }
    }

    /// Notes that the lane waited, so that the last reading is no longer valid.
    pub(super) fn waited(&mut self) {
        self.read = None;
    }

    /// Forgets the last reading, since a pause follows. Returns true if the last record may have
    /// blocked its thread, which only another reading shows.
    pub(super) fn rest(&mut self) -> bool {
        (self.settled, self.read) = (None, None);
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

/// Returns the time of the system's last tick. It stands still in between, for 1 to 10 ms. `None`
/// on systems that do not show it.
///
/// The time of a delivery only shows how old a record is, and which handlers block their thread for
/// a second. It may be a tick too early. To read the tick takes a quarter of the time that a
/// precise reading takes.
#[inline]
fn tick() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse)
        .try_into()
        .ok();
    #[cfg(not(target_os = "linux"))]
    return None;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reading_is_not_used_again_after_a_wait() {
        let mut pace = Pace::default();
        let first = pace.next();
        tokio::time::sleep(Duration::from_secs(60)).await;
        pace.waited();
        assert_eq!(pace.next() - first, Duration::from_secs(60));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!pace.rest());
        assert_eq!(pace.next() - first, Duration::from_secs(120));
    }

    #[test]
    fn a_thread_that_was_blocked_shows_in_the_next_reading() {
        let mut pace = Pace::default();
        let delivered = pace.next();
        let (offset, route) = (Offset::ZERO, 0);
        pace.did_not_wait(Some(Unwaited {
            delivered,
            offset,
            route,
        }));
        std::thread::sleep(BLOCKED);
        let now = pace.next();
        assert!(now - delivered >= BLOCKED);
        assert!(pace.blocked(now).is_some_and(|(_, time)| time >= BLOCKED));
    }
}
