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
    pub(crate) fn ticks(mut self) -> mpsc::UnboundedReceiver<Tick> {
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
        ticks
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
