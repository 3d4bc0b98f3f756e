//! The time at which partial batches leave, decided purely from `now` and the state of the
//! connection.

use std::time::Duration;

use tokio::time::Instant;

/// The figures of a connection that the decisions depend on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// The requests without an answer.
    pub(crate) in_flight: usize,
    /// The time at which a partial batch last left. `None` before the first.
    pub(crate) last_partial: Option<Instant>,
    /// True while callers enqueue without a pause.
    pub(crate) flood: bool,
    /// The smoothed round-trip time. `None` before the first answer.
    pub(crate) srtt: Option<Duration>,
}

/// The time at which a batch may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It may leave now.
    Now,
    /// It may leave at this time, if nothing changes before.
    At(Instant),
}

/// The shortest time between partial batches on a busy connection.
pub(crate) const PARTIAL_INTERVAL: Duration = Duration::from_micros(250);

/// The detection of a flood, in which partial batches with many records leave close behind each
/// other.
///
/// A near broker answers before a batch has grown, and the connection then has no request in
/// flight. Without this detection, a caller that enqueues without a pause would send thousands of
/// small requests a second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flood {
    /// The partial requests in a row that count towards a flood, up to `STREAK`.
    streak: u8,
}

/// The partial requests in a row that make a flood. A burst ends sooner, however large it is.
const STREAK: u8 = 8;

/// The size in bytes below which a request costs more than its content.
const WORTHWHILE: usize = 16 * 1024;

/// The bytes that each request of a flood holds at least, once its partial batches wait.
const HIGH_WATER: usize = 128 * 1024;

impl Flood {
    /// Returns true during a flood.
    pub(crate) fn is_on(self) -> bool {
        self.streak >= STREAK
    }

    /// Notes a request with partial batches. `after` is the time since the one before.
    pub(crate) fn note(&mut self, records: u64, bytes: usize, after: Option<Duration>) {
        let soon = after.is_some_and(|after| after < PARTIAL_INTERVAL);
        let goes_on = if self.is_on() {
            bytes >= HIGH_WATER
        } else {
            soon && bytes >= WORTHWHILE
        };
        // A few large records are worth a request each.
        self.streak = if goes_on && records >= 32 {
            (self.streak + 1).min(STREAK)
        } else {
            0
        };
    }
}

impl Load {
    /// Returns when partial batches may leave on this connection. That is at once if it is idle,
    /// otherwise each quarter of a round trip.
    ///
    /// So nothing waits while no request is in flight. Under load a round trip carries about four
    /// requests, however many records come.
    pub(crate) fn partial(&self, now: Instant) -> When {
        let interval = match self.srtt {
            _ if self.in_flight == 0 && !self.flood => return When::Now,
            Some(srtt) if self.in_flight > 0 => (srtt / 4).max(PARTIAL_INTERVAL),
            _ => PARTIAL_INTERVAL,
        };
        match self.last_partial {
            Some(last) if last + interval > now => When::At(last + interval),
            _ => When::Now,
        }
    }
}

/// Returns when a partial batch that was opened at `opened` may leave. `linger` is the user's
/// setting. `hurry` is set while callers wait for memory, or found the buffer full.
pub(crate) fn partial_batch(
    now: Instant,
    opened: Instant,
    linger: Duration,
    hurry: bool,
    load: &Load,
) -> When {
    if hurry {
        return When::Now;
    }
    if !linger.is_zero() {
        let due = opened + linger;
        return if due <= now { When::Now } else { When::At(due) };
    }
    load.partial(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn busy(last: Instant, srtt: Duration) -> Load {
        Load {
            in_flight: 2,
            last_partial: Some(last),
            flood: false,
            srtt: Some(srtt),
        }
    }

    #[test]
    fn at_rest_nothing_lingers() {
        let now = Instant::now();
        let idle = Load {
            in_flight: 0,
            ..busy(now, MS)
        };
        let when = partial_batch(now, now, Duration::ZERO, false, &idle);
        assert_eq!(when, When::Now);
    }

    #[test]
    fn a_broker_that_answers_soon_does_not_make_the_requests_of_a_flood_small() {
        let now = Instant::now();
        let after = |flood, past| {
            let load = Load {
                in_flight: 0,
                flood,
                ..busy(now - past, 8 * MS)
            };
            partial_batch(now, now, Duration::ZERO, false, &load)
        };
        let soon = PARTIAL_INTERVAL / 5;
        let due = now + PARTIAL_INTERVAL - soon;
        assert_eq!(after(true, soon), When::At(due));
        assert_eq!(after(true, MS), When::Now);
        assert_eq!(after(false, soon), When::Now);
    }

    #[test]
    fn a_flood_is_many_partial_batches_right_after_each_other_and_ends_when_they_are_small() {
        let soon = Some(PARTIAL_INTERVAL / 3);
        let after = |requests: &[(u64, usize, Option<Duration>)]| {
            let mut flood = Flood::default();
            for (records, bytes, after) in requests {
                flood.note(*records, *bytes, *after);
            }
            flood.is_on()
        };
        let many = [(500, 50_000, soon); STREAK as usize];
        assert!(after(&many));
        assert!(!after(&many[1..]), "a burst");
        assert!(!after(&[(1, 50_000, soon); 20]), "a few large records");
        assert!(!after(&[(50, 5_000, soon); 20]), "small ones");
        assert!(!after(&[(500, 50_000, Some(MS)); 20]), "with pauses");
        let on = |then| after(&[&many[..], &[then]].concat());
        assert!(on((5_000, 500_000, Some(MS))), "it goes on, paced");
        assert!(!on((500, 50_000, Some(MS))), "it ebbs");
    }

    #[test]
    fn a_busy_connection_takes_partial_batches_each_quarter_of_a_round_trip() {
        let now = Instant::now();
        let when = |load| partial_batch(now, now, Duration::ZERO, false, &load);
        assert_eq!(when(busy(now, 8 * MS)), When::At(now + 2 * MS));
        assert_eq!(when(busy(now - 2 * MS, 8 * MS)), When::Now);
        let short = Duration::from_micros(40);
        assert_eq!(when(busy(now, short)), When::At(now + PARTIAL_INTERVAL));
    }

    #[test]
    fn a_linger_of_the_user_is_kept_and_hurry_overrides_it() {
        let now = Instant::now();
        let idle = Load::default();
        let when = |opened, hurry| partial_batch(now, opened, 5 * MS, hurry, &idle);
        assert_eq!(when(now, false), When::At(now + 5 * MS));
        assert_eq!(when(now - 5 * MS, false), When::Now);
        assert_eq!(when(now, true), When::Now);
    }
}
