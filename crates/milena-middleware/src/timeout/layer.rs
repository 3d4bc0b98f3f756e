//! The layer that ends attempts.

use std::time::Duration;

use tower_layer::Layer;

use super::service::{Limits, Timeout};
use crate::stack::{Kind, Profile, StackLayer};

/// Ends an attempt that takes too long. Belongs inside retry and breaker, so that each attempt has
/// its own deadline and both see the timeout.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    limits: Limits,
}

impl TimeoutLayer {
    /// Creates a layer that gives each attempt `timeout`. The time starts when the attempt first
    /// waits. Its future is dropped 100 ms after the deadline.
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

    /// Sets the time from the cancellation of an attempt's token to the drop of its future. Default
    /// 100 ms. An answer within this time counts.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.limits.grace = grace;
        self
    }

    /// Runs each attempt in a task of its own, which is never dropped.
    ///
    /// At the deadline the attempt's token is cancelled, and the layer waits until the task has
    /// ended. If that takes longer than `cap`, the consumer stops.
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
