//! The layer that keeps a rate.

use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::bucket::Bucket;
use super::limiter::RateLimiter;
use super::service::RateLimit;
use crate::stack::{Kind, Profile, StackLayer};

/// Lets only so many attempts begin in a time. Stands inside retry and breaker. A clone shares the limiter.
///
/// A setter starts a limiter of its own: set it up first, then clone it.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limiter: RateLimiter,
}

impl RateLimitLayer {
    /// So many attempts per time, spread evenly, with as many at once as are due within 10 ms; `name` says what is limited. A number of
    /// zero counts as one.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, attempts: u32, per: Duration) -> Self {
        let interval = (per / attempts.max(1)).max(Duration::from_nanos(1));
        let at_once = Duration::from_millis(10).as_nanos() / interval.as_nanos();
        let burst = u32::try_from(at_once).unwrap_or(u32::MAX);
        Self {
            limiter: RateLimiter::new(name.into(), Bucket::new(interval, burst), PAUSE_AFTER),
        }
    }

    /// How many tokens may be saved up while none is asked for, and then be used at once; at least 1.
    #[must_use]
    pub fn burst(self, tokens: u32) -> Self {
        let bucket = Bucket::new(self.limiter.bucket().interval, tokens);
        self.with(bucket, self.limiter.pause_after())
    }

    /// How long the wait for a token has to be for the partitions to be paused meanwhile. Default 5 s; shorter waits only let the queues of
    /// the partitions fill.
    #[must_use]
    pub fn pause_after(self, wait: Duration) -> Self {
        self.with(self.limiter.bucket(), wait)
    }

    /// The limiter, to watch it.
    #[must_use]
    pub fn limiter(&self) -> RateLimiter {
        self.limiter.clone()
    }

    fn with(&self, bucket: Bucket, pause_after: Duration) -> Self {
        Self {
            limiter: RateLimiter::new(self.limiter.name().into(), bucket, pause_after),
        }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> RateLimit<S> {
        RateLimit::new(inner, self.limiter.clone())
    }
}

impl StackLayer for RateLimitLayer {
    fn profile(&self) -> Profile {
        let Bucket {
            interval, burst, ..
        } = self.limiter.bucket();
        let name = self.limiter.name();
        let text = format!("`{name}`; one attempt each {interval:?}, up to {burst} at once");
        Profile::new(Kind::RateLimit, text).gate(self.limiter.gate().clone())
    }
}

const PAUSE_AFTER: Duration = Duration::from_secs(5);
