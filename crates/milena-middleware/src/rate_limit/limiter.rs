//! The limiter itself: one bucket for all who share it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::Gate;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::bucket::Bucket;

/// A handle on a limiter, to watch it. A clone is the same limiter.
#[derive(Clone)]
pub struct RateLimiter(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    gate: Gate,
    pause_after: Duration,
    bucket: Mutex<Bucket>,
}

impl RateLimiter {
    pub(super) fn new(name: Arc<str>, bucket: Bucket, pause_after: Duration) -> Self {
        Self(Arc::new(Inner {
            gate: Gate::new(format!("rate-limit:{name}")),
            name,
            pause_after,
            bucket: Mutex::new(bucket),
        }))
    }

    /// What is limited.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its gate, closed while a lane waits long.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(super) fn pause_after(&self) -> Duration {
        self.0.pause_after
    }

    pub(super) fn bucket(&self) -> Bucket {
        self.0.bucket.lock().clone()
    }

    /// Takes the next token, and says when it is there; a long wait closes the gate.
    pub(super) fn take(&self, now: Instant) -> Instant {
        let at = self.0.bucket.lock().take(now);
        let wait = at - now;
        if wait > self.0.pause_after {
            self.0
                .gate
                .close(format!("the next token is there in {wait:?}"));
        }
        at
    }

    /// A wait is over, with the token or without: whoever still waits closes the gate again when it asks next.
    pub(super) fn waited(&self) {
        self.0.gate.open();
    }

    pub(super) fn give_back(&self) {
        self.0.bucket.lock().give_back();
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("name", &self.name())
            .field("bucket", &*self.0.bucket.lock())
            .finish_non_exhaustive()
    }
}
