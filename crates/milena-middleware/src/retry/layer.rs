//! The layer that retries in place.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Backoff, ErrorClass};
use tower_layer::Layer;

use super::budget::RetryBudget;
use super::policy::Policy;
use super::service::Retry;
use crate::stack::{Kind, Profile, StackLayer};

/// Retries a record in place. Belongs inside the dead letter layer, and outside breaker and
/// timeout.
#[derive(Clone, Debug)]
pub struct RetryLayer {
    policy: Arc<Policy>,
}

impl RetryLayer {
    /// Creates a layer with `backoff` between attempts and five attempts in all.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self {
            policy: Arc::new(Policy::new(backoff)),
        }
    }

    /// Creates a layer with the same wait between all attempts, without jitter.
    #[must_use]
    pub fn fixed(wait: Duration) -> Self {
        Self::new(Backoff::new(wait, wait).jitter(0.0))
    }

    /// Sets the number of attempts, the first included. At least 1. Default 5.
    #[must_use]
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.with(|policy| policy.max_attempts = attempts.max(1))
    }

    /// Sets the number of attempts for errors of one class, the first included. 1 means no retry.
    ///
    /// Defaults to [`max_attempts`](Self::max_attempts) for the retriable classes, and to 1 for the
    /// others. With a number for the class dependency, failures while a breaker is open count as
    /// attempts too.
    #[must_use]
    pub fn max_attempts_for(self, class: ErrorClass, attempts: u32) -> Self {
        self.with(|policy| policy.set(class, attempts.max(1)))
    }

    /// Sets the longest time from the first attempt to the start of the last. Time in which a layer
    /// inside is not ready does not count. Default no limit.
    #[must_use]
    pub fn max_elapsed(self, elapsed: Duration) -> Self {
        self.with(|policy| policy.max_elapsed = Some(elapsed))
    }

    /// Sets the backoff after errors of one class. Default is the backoff of the layer.
    #[must_use]
    pub fn backoff_for(self, class: ErrorClass, backoff: Backoff) -> Self {
        self.with(|policy| policy.set_backoff(class, backoff))
    }

    /// Sets a budget for retries, which other layers may share. A retry that the budget does not
    /// cover yet waits. Default none.
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
