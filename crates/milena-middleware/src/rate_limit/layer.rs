//! The layer that keeps a rate.

use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::bucket::Bucket;
use super::limiter::RateLimiter;
use super::service::RateLimit;
use crate::stack::{Kind, Profile, StackLayer};

/// Limits how many attempts begin in a time. Belongs inside retry and breaker. A clone shares the
/// limiter.
///
/// A setter starts a new limiter, so call all setters before you clone the layer.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    limiter: RateLimiter,
}

impl RateLimitLayer {
    /// Creates a limit of `attempts` per time `per`, spread evenly. As many attempts may begin at
    /// once as are due within 10 ms. `name` names the limited dependency. An `attempts` of zero
    /// counts as one.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, attempts: u32, per: Duration) -> Self {
        let interval = (per / attempts.max(1)).max(Duration::from_nanos(1));
        let at_once = Duration::from_millis(10).as_nanos() / interval.as_nanos();
        let burst = u32::try_from(at_once).unwrap_or(u32::MAX);
        Self {
            limiter: RateLimiter::new(name.into(), Bucket::new(interval, burst), PAUSE_AFTER),
        }
    }

    /// Sets how many unused tokens are saved and may then be used at once. At least 1.
    #[must_use]
    pub fn burst(self, tokens: u32) -> Self {
        let bucket = Bucket::new(self.limiter.bucket().interval, tokens);
        self.with(bucket, self.limiter.pause_after())
    }

    /// Sets the wait for a token after which the partitions are paused. Default 5 s. During shorter
    /// waits the partitions are still fetched and their queues fill.
    #[must_use]
    pub fn pause_after(self, wait: Duration) -> Self {
        self.with(self.limiter.bucket(), wait)
    }

    /// Returns the limiter, to watch it.
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
