//! Computes how an adaptive limit grows and shrinks. Takes ends of attempts and returns the limit.
//! Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The bounds of a limit. With equal bounds it is fixed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The smallest size. At least 1.
    pub(super) min: usize,
    /// The largest size. At least `min`.
    pub(super) max: usize,
    /// An attempt that took longer counts as overload. `None` for never.
    pub(super) slow_after: Option<Duration>,
}

/// The present limit.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// The bounds, which never change.
    bounds: Bounds,
    /// The present size. A fraction, because each success adds less than one.
    size: f64,
    /// The time of the last cut. `None` before the first one.
    last_cut: Option<Instant>,
}

/// The end of an attempt, as far as the limit is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct AttemptEnd {
    /// The start of the attempt.
    pub(super) began: Instant,
    /// The end of the attempt.
    pub(super) now: Instant,
    /// True if it was throttled, timed out, or its dependency failed.
    pub(super) overloaded: bool,
    /// True if it failed for a reason that says nothing about load.
    pub(super) unrelated: bool,
    /// True if all permits were in use at its start or its end.
    pub(super) full: bool,
}

impl Limit {
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    pub(super) fn new(bounds: Bounds) -> Self {
        let first = if bounds.min == bounds.max {
            bounds.max
        } else {
            FIRST.clamp(bounds.min, bounds.max)
        };
        Self {
            bounds,
            size: first as f64,
            last_cut: None,
        }
    }

    pub(super) fn size(&self) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within the bounds, which are no negative numbers"
        )]
        let whole = self.size as usize;
        whole.clamp(self.bounds.min, self.bounds.max)
    }

    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    pub(super) fn ended(&mut self, ended: AttemptEnd) {
        if self.bounds.min == self.bounds.max {
            return;
        }
        let took = ended.now - ended.began;
        let slow = self.bounds.slow_after.is_some_and(|limit| took > limit);
        if ended.overloaded || slow {
            // An attempt that began before the last cut says nothing about the limit after it.
            if self.last_cut.is_none_or(|cut| ended.began >= cut) {
                self.size = (self.size * CUT).max(self.bounds.min as f64);
                self.last_cut = Some(ended.now);
            }
        } else if ended.full && !ended.unrelated {
            self.size = (self.size + 1.0 / self.size).min(self.bounds.max as f64);
        }
    }
}

/// The first size of an adaptive limit.
const FIRST: usize = 4;
/// The share of the limit that a cut leaves.
const CUT: f64 = 0.7;

#[cfg(test)]
mod tests {
    use super::*;

    fn limit() -> Limit {
        Limit::new(Bounds {
            min: 2,
            max: 10,
            slow_after: Some(Duration::from_secs(1)),
        })
    }

    fn well(at: Instant) -> AttemptEnd {
        AttemptEnd {
            began: at,
            now: at,
            overloaded: false,
            unrelated: false,
            full: true,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_grows_by_one_a_round_while_it_is_used_up() {
        let (mut limit, now) = (limit(), Instant::now());
        assert_eq!(limit.size(), 4);
        for _ in 0..5 {
            limit.ended(well(now));
        }
        assert_eq!(limit.size(), 5);
        for _ in 0..1_000 {
            limit.ended(AttemptEnd {
                full: false,
                ..well(now)
            });
        }
        assert_eq!(limit.size(), 5, "what was not needed shows nothing");
        for _ in 0..1_000 {
            limit.ended(well(now));
        }
        assert_eq!(limit.size(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn overload_cuts_it_once_for_all_that_were_under_way() {
        let (mut limit, now) = (limit(), Instant::now());
        for _ in 0..1_000 {
            limit.ended(well(now));
        }
        let later = now + Duration::from_millis(500);
        let bad = AttemptEnd {
            now: later,
            overloaded: true,
            ..well(now)
        };
        for _ in 0..10 {
            limit.ended(bad);
        }
        assert_eq!(limit.size(), 7);
        limit.ended(AttemptEnd {
            now: later + Duration::from_secs(2),
            ..well(later)
        });
        assert_eq!(limit.size(), 4, "slow is overload too");
        for n in 0..20 {
            let at = later + Duration::from_secs(10 + n);
            limit.ended(AttemptEnd {
                overloaded: true,
                ..well(at)
            });
        }
        assert_eq!(limit.size(), 2);
    }
}
