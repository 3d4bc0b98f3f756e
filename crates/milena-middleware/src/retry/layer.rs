//! The layer that tries again.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, ErrorClass};
use tower_layer::Layer;

use super::budget::RetryBudget;
use super::policy::Policy;
use super::service::Retry;
use crate::stack::{Kind, Profile, StackLayer};

/// Tries a record again in place. Stands inside the dead letter layer and outside breaker and timeout.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: Arc<Policy>,
}

impl RetryLayer {
    /// Waits as `backoff` says between attempts; five attempts in all.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self {
            policy: Arc::new(Policy::new(backoff)),
        }
    }

    /// Waits the same time between attempts, without jitter.
    #[must_use]
    pub fn fixed(wait: Duration) -> Self {
        Self::new(Backoff::new(wait, wait).jitter(0.0))
    }

    /// How many attempts there are in all, the first included; at least 1. Default 5.
    #[must_use]
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.with(|policy| policy.max_attempts = attempts.max(1))
    }

    /// How many attempts there are for errors of one class, in all; 1 means none again. Default as [`max_attempts`](Self::max_attempts)
    /// for the classes that may pass by themselves, 1 for the others. A number for the class dependency counts what fails while a
    /// breaker is open, too.
    #[must_use]
    pub fn max_attempts_for(self, class: ErrorClass, attempts: u32) -> Self {
        self.with(|policy| policy.set(class, attempts.max(1)))
    }

    /// No attempt begins later than this after the first one began, time not ready aside. Default without a limit.
    #[must_use]
    pub fn max_elapsed(self, elapsed: Duration) -> Self {
        self.with(|policy| policy.max_elapsed = Some(elapsed))
    }

    /// The waits after errors of one class. Default as for the others.
    #[must_use]
    pub fn backoff_for(self, class: ErrorClass, backoff: Backoff) -> Self {
        self.with(|policy| policy.set_backoff(class, backoff))
    }

    /// Repeats are covered by this budget, which other layers may share; one that is not yet covered waits. Default without one.
    #[must_use]
    pub fn budget(self, budget: RetryBudget) -> Self {
        self.with(|policy| policy.budget = Some(budget))
    }

    fn with(self, change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Arc::unwrap_or_clone(self.policy);
        change(&mut policy);
        Self {
            policy: Arc::new(policy),
        }
    }
}

impl<S: Clone> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::clone(&self.policy))
    }
}

impl StackLayer for RetryLayer {
    fn profile(&self) -> Profile {
        let attempts = self.policy.most_attempts();
        let covered = match self.policy.budget {
            Some(_) => ", repeats within a budget",
            None => "",
        };
        let profile = Profile::new(Kind::Retry, format!("up to {attempts} attempts{covered}"));
        let profile = profile
            .retries()
            .repeats(attempts, self.policy.longest_waits());
        match self.policy.max_elapsed {
            Some(elapsed) => profile.begins_within(elapsed),
            None => profile,
        }
    }
}
