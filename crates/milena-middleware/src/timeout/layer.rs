//! The layer that ends attempts.

use std::time::Duration;

use tower_layer::Layer;

use super::service::{Limits, Timeout};
use crate::stack::{Kind, Profile, StackLayer};

/// Ends an attempt that takes too long. Stands inside retry and breaker: each attempt has its own deadline, and both see the timeout.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limits: Limits,
}

impl TimeoutLayer {
    /// An attempt may take `timeout`, counted from when it first waits for something; then its future is dropped after a grace of 100 ms.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            limits: Limits {
                timeout,
                grace: Duration::from_millis(100),
                cap: None,
            },
        }
    }

    /// How long an attempt may go on after its token was cancelled before its future is dropped. Default 100 ms. An answer that comes
    /// within the grace counts.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.limits.grace = grace;
        self
    }

    /// Runs each attempt in a task of its own that is never cut: at the deadline its token is cancelled, and the answer waits until the
    /// task has ended. If that takes longer than `cap`, the consumer stops.
    #[must_use]
    pub fn shielded(mut self, cap: Duration) -> Self {
        self.limits.cap = Some(cap);
        self
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout::new(inner, self.limits)
    }
}

impl StackLayer for TimeoutLayer {
    fn profile(&self) -> Profile {
        let Limits {
            timeout,
            grace,
            cap,
        } = self.limits;
        let text = match cap {
            None => format!("{timeout:?} per attempt"),
            Some(cap) => format!("{timeout:?} per attempt, shielded for {cap:?}"),
        };
        let longest = timeout.saturating_add(cap.unwrap_or(grace));
        Profile::new(Kind::Timeout, text).limits(longest)
    }
}
