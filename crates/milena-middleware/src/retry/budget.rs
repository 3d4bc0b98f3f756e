//! A budget for retries, so that many failures at once do not cause many more attempts.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A limit on retries. It allows a share of the first attempts, plus a few retries per second. All
/// layers that hold a clone share it.
///
/// A retry over the budget is not given up. It waits until the budget covers it.
///
/// ```
/// use milena_core::Backoff;
/// use milena_middleware::RetryLayer;
/// use milena_middleware::retry::RetryBudget;
///
/// // One retry for five first attempts, and five more per second.
/// let budget = RetryBudget::new(0.2, 5.0);
/// let orders = RetryLayer::new(Backoff::default()).budget(budget.clone());
/// let bills = RetryLayer::new(Backoff::default()).budget(budget);
/// # let _ = (orders, bills);
/// ```
#[derive(Clone, Debug)]
pub struct RetryBudget(Arc<Mutex<BudgetState>>);

#[derive(Debug)]
struct BudgetState {
    /// The tokens that each first attempt adds.
    share: f64,
    /// The tokens that each second adds.
    per_second: f64,
    /// The retries that the budget covers now. Below zero, that many retries wait.
    tokens: f64,
    /// The time up to which `per_second` was added. `None` until the first retry.
    counted: Option<Instant>,
}

impl RetryBudget {
    /// Creates a budget of `share` of the first attempts (0.2 is one in five), plus `per_second`
    /// retries. `per_second` is at least 0.01, which is one retry in 100 seconds.
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
        Self(Arc::new(Mutex::new(BudgetState {
            share: number(share),
            per_second,
            tokens: per_second.max(1.0) * SAVED,
            counted: None,
        })))
    }

    /// Counts a first attempt, which adds `share` to the budget.
    pub(super) fn first(&self) {
        let mut state = self.0.lock();
        let most = state.most();
        state.tokens = (state.tokens + state.share).min(most);
    }

    /// Takes one retry from the budget and returns how long the retry must wait.
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

impl BudgetState {
    fn most(&self) -> f64 {
        self.per_second.max(1.0) * SAVED
    }
}

/// The seconds' worth of retries that can be saved.
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
