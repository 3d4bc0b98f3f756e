//! An open loop: records come at their rate, whatever became of those before.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// When the next records are due, and how many.
pub(crate) struct Pace {
    next: Instant,
    end: Instant,
    tick: Duration,
    per_tick: f64,
    /// What is left of records that do not fill a tick evenly.
    carried: f64,
}

/// Records that are due for an asynchronous client.
pub(crate) struct Tick {
    pub(crate) records: u64,
    /// Their time counts from here.
    pub(crate) since: Instant,
}

pub(crate) enum Due {
    /// Nothing before this instant.
    At(Instant),
    /// So many records now; their time counts from `since`.
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

    /// `slept`: the caller comes from waiting for this tick, so that being late is the timer's doing and not the client's.
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

    /// The ticks, as they fall due, from a thread of its own: the timers of an asynchronous runtime are late by up to a millisecond,
    /// which is not the client's doing.
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
                        // Nobody listens when the client failed.
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
    /// The next tick. A task that came early counts from its wake-up, as a thread that slept does; one that was held up, from when
    /// the tick was due.
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
