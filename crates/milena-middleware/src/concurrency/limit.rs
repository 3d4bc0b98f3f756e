//! How an adaptive limit grows and shrinks. Pure: ends of attempts in, the limit out.

use std::time::Duration;

use tokio::time::Instant;

/// The bounds of a limit; equal ones make it fixed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) min: usize,
    pub(super) max: usize,
    /// An attempt that took longer speaks against the limit.
    pub(super) slow_after: Option<Duration>,
}

/// A limit as it stands.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    bounds: Bounds,
    size: f64,
    last_cut: Option<Instant>,
}

/// How an attempt ended, as far as the limit is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) began: Instant,
    pub(super) now: Instant,
    /// It was throttled, timed out, or its dependency failed.
    pub(super) overloaded: bool,
    /// It failed for a reason that says nothing about load.
    pub(super) unrelated: bool,
    /// Whether all permits were out while it ran.
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
    pub(super) fn ended(&mut self, ended: Ended) {
        if self.bounds.min == self.bounds.max {
            return;
        }
        let took = ended.now - ended.began;
        let slow = self.bounds.slow_after.is_some_and(|limit| took > limit);
        if ended.overloaded || slow {
            // One that began before the last cut says nothing about the limit since.
            if self.last_cut.is_none_or(|cut| ended.began >= cut) {
                self.size = (self.size * CUT).max(self.bounds.min as f64);
                self.last_cut = Some(ended.now);
            }
        } else if ended.full && !ended.unrelated {
            self.size = (self.size + 1.0 / self.size).min(self.bounds.max as f64);
        }
    }
}

/// Where an adaptive limit begins.
const FIRST: usize = 4;
/// What a cut leaves.
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

    fn well(at: Instant) -> Ended {
        Ended {
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
            limit.ended(Ended {
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
        let bad = Ended {
            now: later,
            overloaded: true,
            ..well(now)
        };
        for _ in 0..10 {
            limit.ended(bad);
        }
        assert_eq!(limit.size(), 7);
        limit.ended(Ended {
            now: later + Duration::from_secs(2),
            ..well(later)
        });
        assert_eq!(limit.size(), 4, "slow is overload too");
        for n in 0..20 {
            let at = later + Duration::from_secs(10 + n);
            limit.ended(Ended {
                overloaded: true,
                ..well(at)
            });
        }
        assert_eq!(limit.size(), 2);
    }
}
