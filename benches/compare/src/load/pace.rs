//! An open loop. Records come at their rate, independent of the outcome of earlier ones.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// A schedule of records.
pub(crate) struct Pace {
    /// The time of the next tick.
    next: Instant,
    /// The end of the load.
    end: Instant,
    /// The time between two ticks.
    tick: Duration,
    /// The records of a tick, which may be a fraction.
    per_tick: f64,
    /// The fraction of a record that is carried over to the next tick.
    carried: f64,
}

/// The records that are due for an asynchronous client.
pub(crate) struct Tick {
    pub(crate) records: u64,
    /// The instant from which their time counts.
    pub(crate) since: Instant,
}

pub(crate) enum Due {
    /// No records are due before this instant.
    At(Instant),
    /// This many records are due now. Their time counts from `since`.
    Now {
        records: u64,
        since: Instant,
    },
    Over,
}

impl Pace {
    pub(crate) fn new(rate: u64, seconds: f64) -> Self {
        let rate = rate.max(1) as f64;
        let tick = (1.0 / rate).max(0.001);
        let now = Instant::now();
        Self {
            next: now,
            end: now + Duration::from_secs_f64(seconds),
            tick: Duration::from_secs_f64(tick),
            per_tick: rate * tick,
            carried: 0.0,
        }
    }

    /// Returns the records that are due. `slept` is true if the caller slept until this tick. The
    /// timer then caused any delay, not the client.
    pub(crate) fn due(&mut self, now: Instant, slept: bool) -> Due {
        if self.next >= self.end {
            return Due::Over;
        }
        if now < self.next {
            return Due::At(self.next);
        }
        let since = if slept { now } else { self.next };
        self.next += self.tick;
        self.carried += self.per_tick;
        let records = self.carried as u64;
        self.carried -= records as f64;
        Due::Now { records, since }
    }

    /// Starts a thread that sends the ticks when they are due. The timers of an asynchronous
    /// runtime can be late by a millisecond, which would count against the client.
    pub(crate) fn ticks(mut self) -> Ticks {
        let (told, ticks) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut slept = false;
            loop {
                match self.due(Instant::now(), slept) {
                    Due::Over => return,
                    Due::At(next) => {
                        std::thread::sleep(next.saturating_duration_since(Instant::now()));
                        slept = true;
                    }
                    Due::Now { records, since } => {
                        // The receiver is gone if the client failed.
                        if told.send(Tick { records, since }).is_err() {
                            return;
                        }
                        slept = false;
                    }
                }
            }
        });
        Ticks(ticks)
    }
}

/// The ticks of an asynchronous client.
pub(crate) struct Ticks(mpsc::UnboundedReceiver<Tick>);

impl Ticks {
    /// Returns the next tick. If the task waited for it, the time counts from its wake-up, like for
    /// a thread that slept. If the task was delayed, the time counts from when the tick was due.
    pub(crate) async fn next(&mut self) -> Option<Tick> {
        match self.0.try_recv() {
            Ok(tick) => Some(tick),
            Err(_) => self.0.recv().await.map(|tick| Tick {
                since: Instant::now(),
                ..tick
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_holds_the_caller_up_pays_for_it() {
        let mut pace = Pace::new(1000, 1.0);
        let start = pace.next;
        let late = start + Duration::from_millis(5);
        let Due::Now { records: 1, since } = pace.due(late, false) else {
            unreachable!("a record was due");
        };
        assert_eq!(since, start);
    }

    #[tokio::test]
    async fn a_task_that_was_held_up_counts_from_when_the_tick_was_due() {
        let (told, ticks) = mpsc::unbounded_channel();
        let mut ticks = Ticks(ticks);
        let since = Instant::now();
        assert!(told.send(Tick { records: 1, since }).is_ok());
        assert_eq!(ticks.next().await.map(|tick| tick.since), Some(since));
    }

    #[tokio::test]
    async fn a_task_that_waits_counts_from_its_wake_up() {
        let (told, ticks) = mpsc::unbounded_channel();
        let mut ticks = Ticks(ticks);
        let (next, before) = tokio::join!(ticks.next(), async {
            let since = Instant::now();
            assert!(told.send(Tick { records: 1, since }).is_ok());
            since
        });
        assert!(next.is_some_and(|tick| tick.since > before));
    }

    #[test]
    fn uneven_rates_come_out_in_the_end() {
        let mut pace = Pace::new(2_500, 1.0);
        let mut sum = 0;
        let far = pace.end;
        while let Due::Now { records, .. } = pace.due(far, false) {
            sum += records;
        }
        assert!((2_498..=2_501).contains(&sum), "{sum}");
    }
}
