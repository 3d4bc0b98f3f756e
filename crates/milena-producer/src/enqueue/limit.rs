//! The largest batch that a topic's brokers accept, learned from the batches that they refuse.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The most bytes of a topic's batches before compression. It has no effect until a broker refuses
/// a batch as too large.
///
/// A broker does not say what it accepts (`max.message.bytes`), so half of the refused size is
/// tried next. A topic that accepts less than the batch size then costs a few refusals at first,
/// and not one per batch.
///
/// The setting may be raised later, or the records may compress better. So some time after a
/// refusal twice the size is tried, and twice that size as soon as a batch of it was accepted. If
/// the larger size is refused, the last accepted size is the limit again at once, and the next try
/// comes after twice the time.
#[derive(Debug)]
pub(crate) struct BatchLimit {
    /// The limit in bytes. `usize::MAX` means no limit. Written only while `growth` is locked.
    bytes: AtomicUsize,
    /// The state of the attempts to raise the limit.
    growth: Mutex<Growth>,
}

/// The attempts to raise the limit after a refusal.
#[derive(Debug)]
struct Growth {
    /// The limit before its last raise. It is the limit again if a larger batch is refused. `None`
    /// while no raise is being tried.
    proven: Option<usize>,
    /// The time from a refusal to the next raise.
    wait: Duration,
    /// The time from which the limit may be raised. `None` before the first refusal.
    due: Option<Instant>,
}

impl Default for BatchLimit {
    fn default() -> Self {
        Self {
            bytes: AtomicUsize::new(usize::MAX),
            growth: Mutex::new(Growth {
                proven: None,
                wait: FIRST_WAIT,
                due: None,
            }),
        }
    }
}

impl BatchLimit {
    /// Returns the most bytes of a batch of several records, or `usize::MAX` if there is no limit.
    pub(crate) fn get(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lowers the limit after a batch of several records was refused. `plain` is its bytes before
    /// compression. Returns true if the limit fell.
    pub(crate) fn refused(&self, plain: usize, now: Instant) -> bool {
        let mut growth = self.growth.lock();
        let limit = self.get();
        if plain > limit {
            // It was sent before the limit was known, so its refusal says nothing new.
            return false;
        }
        let smaller = match growth.proven.take() {
            Some(proven) if proven < plain => {
                growth.wait = (growth.wait * 2).min(LONGEST_WAIT);
                proven
            }
            _ => {
                growth.wait = FIRST_WAIT;
                (plain / 2).max(LEAST)
            }
        };
        growth.due = Some(now + growth.wait);
        self.bytes.store(smaller, Ordering::Relaxed);
        smaller < limit
    }

    /// Raises the limit, if a raise is due, after a batch of several records was accepted. `plain`
    /// is its bytes before compression. A limit of `batch_size` or more is stored as `usize::MAX`,
    /// since it has no effect.
    pub(crate) fn taken(&self, plain: usize, batch_size: usize, now: Instant) {
        let limit = self.get();
        if limit == usize::MAX {
            return;
        }
        let mut growth = self.growth.lock();
        let proven = match growth.proven {
            Some(proven) if plain <= proven => return,
            Some(_) => {
                growth.wait = FIRST_WAIT;
                plain
            }
            None if growth.due.is_some_and(|due| due <= now) => limit,
            None => return,
        };
        growth.proven = Some(proven);
        let raised = proven.saturating_mul(2);
        let raised = if raised < batch_size {
            raised
        } else {
            usize::MAX
        };
        self.bytes.store(raised, Ordering::Relaxed);
    }
}

/// The lowest limit in bytes. Smaller batches would cost more than refusals.
const LEAST: usize = 512;

/// The time from the first refusal to the next raise. A refusal costs one round trip, and the batch
/// is built again. Once in this time that cost does not matter.
const FIRST_WAIT: Duration = Duration::from_secs(300);

/// The longest time from a refusal to the next raise.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: usize = 512 << 10;

    fn refused_at(plain: usize, now: Instant) -> BatchLimit {
        let limit = BatchLimit::default();
        assert!(limit.refused(plain, now));
        limit
    }

    #[test]
    fn half_of_what_was_refused_is_tried_next() {
        let (limit, now) = (BatchLimit::default(), Instant::now());
        assert_eq!(limit.get(), usize::MAX);
        assert!(limit.refused(500_000, now));
        assert!(!limit.refused(500_000, now), "several were on their way");
        assert!(limit.refused(250_000, now));
        assert_eq!(limit.get(), 125_000);
        assert!(limit.refused(0, now));
        assert_eq!(limit.get(), LEAST);
        assert!(!limit.refused(0, now));
    }

    #[test]
    fn what_is_taken_raises_the_limit_only_some_time_after_a_refusal() {
        let now = Instant::now();
        let limit = refused_at(100_000, now);
        limit.taken(50_000, BATCH, now + FIRST_WAIT / 2);
        assert_eq!(limit.get(), 50_000);
        limit.taken(10, BATCH, now + FIRST_WAIT);
        assert_eq!(limit.get(), 100_000);
    }

    #[test]
    fn each_larger_batch_that_is_taken_raises_it_again_until_it_limits_no_more() {
        let start = Instant::now();
        let limit = refused_at(100_000, start);
        let now = start + FIRST_WAIT;
        limit.taken(10, BATCH, now);
        limit.taken(50_000, BATCH, now);
        assert_eq!(limit.get(), 100_000, "nothing larger was taken yet");
        limit.taken(90_000, BATCH, now);
        assert_eq!(limit.get(), 180_000);
        limit.taken(180_000, BATCH, now);
        limit.taken(360_000, BATCH, now);
        assert_eq!(limit.get(), usize::MAX);
    }

    #[test]
    fn a_raise_that_is_refused_is_taken_back_and_the_next_one_comes_later() {
        let mut now = Instant::now();
        let limit = refused_at(100_000, now);
        let mut wait = FIRST_WAIT;
        for _ in 0..10 {
            now += wait;
            limit.taken(50_000, BATCH, now - Duration::from_secs(1));
            assert_eq!(limit.get(), 50_000, "{wait:?}");
            limit.taken(50_000, BATCH, now);
            assert!(limit.refused(70_000, now));
            assert_eq!(limit.get(), 50_000);
            assert!(!limit.refused(70_000, now), "several were on their way");
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        assert_eq!(wait, LONGEST_WAIT);
    }

    #[test]
    fn a_setting_made_smaller_again_is_learned_as_at_first() {
        let start = Instant::now();
        let limit = refused_at(100_000, start);
        let now = start + FIRST_WAIT;
        limit.taken(10, BATCH, now);
        assert!(limit.refused(40_000, now), "less than was taken before");
        assert_eq!(limit.get(), 20_000);
    }
}
