//! A budget for repeated attempts, so that a storm of failures does not become a storm of attempts.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many attempts may be repeats: a share of the first attempts, and a few per second whatever their number. Shared by all layers that
/// were given a clone.
///
/// A repeat that the budget does not cover is not given up: it waits until it is covered.
///
/// ```
/// use milena_core::Backoff;
/// use milena_middleware::RetryLayer;
/// use milena_middleware::retry::RetryBudget;
///
/// let budget = RetryBudget::new(0.2, 5.0); // one repeat for five first attempts, and five per second besides
/// let orders = RetryLayer::new(Backoff::default()).budget(budget.clone());
/// let bills = RetryLayer::new(Backoff::default()).budget(budget);
/// # let _ = (orders, bills);
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    share: f64,
    per_second: f64,
    /// What is there; below zero it is owed.
    tokens: f64,
    counted: Option<Instant>,
}

impl RetryBudget {
    /// `share` of the first attempts (0.2 is one in five), and `per_second` besides; that is at least one in a hundred seconds.
    #[must_use]
    pub fn new(share: f64, per_second: f64) -> Self {
        let number = |value: f64| {
            if value.is_finite() {
                value.max(0.0)
            } else {
                0.0
            }
        };
        let per_second = number(per_second).max(0.01);
        Self(Arc::new(Mutex::new(State {
            share: number(share),
            per_second,
            tokens: per_second.max(1.0) * SAVED,
            counted: None,
        })))
    }

    /// A first attempt was made.
    pub(super) fn first(&self) {
        let mut state = self.0.lock();
        let most = state.most();
        state.tokens = (state.tokens + state.share).min(most);
    }

    /// Takes a repeat, and says how long it has to wait.
    pub(super) fn repeat(&self, now: Instant) -> Duration {
        let mut state = self.0.lock();
        let since = state
            .counted
            .replace(now)
            .map_or(Duration::ZERO, |at| now - at);
        let earned = since.as_secs_f64() * state.per_second;
        state.tokens = (state.tokens + earned).min(state.most()) - 1.0;
        Duration::try_from_secs_f64((-state.tokens / state.per_second).max(0.0)).unwrap_or_default()
    }
}

impl State {
    fn most(&self) -> f64 {
        self.per_second.max(1.0) * SAVED
    }
}

/// How many seconds' worth may be saved up.
const SAVED: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn repeats_are_covered_by_first_attempts_and_else_wait_for_their_second() {
        let budget = RetryBudget::new(0.5, 1.0);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(budget.repeat(now), Duration::ZERO);
        }
        assert_eq!(budget.repeat(now).as_secs(), 1, "spent");
        for _ in 0..6 {
            budget.first();
        }
        assert_eq!(
            budget.repeat(now),
            Duration::ZERO,
            "earned by first attempts"
        );
        let later = now + Duration::from_secs(100);
        for _ in 0..10 {
            assert_eq!(
                budget.repeat(later),
                Duration::ZERO,
                "earned by time, up to a limit"
            );
        }
        assert!(budget.repeat(later) > Duration::ZERO);
    }
}
