//! The limiter. Holds one bucket for all lanes that share it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::Gate;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::bucket::Bucket;

/// A handle to watch a limiter. A clone refers to the same limiter.
#[derive(Clone)]
pub struct RateLimiter(Arc<SharedLimiter>);

struct SharedLimiter {
    /// The name of the limited dependency.
    name: Arc<str>,
    /// The gate that pauses partitions. Closed by a long wait, opened when any wait ends.
    gate: Gate,
    /// The wait after which the gate closes.
    pause_after: Duration,
    /// The tokens, shared by all lanes.
    bucket: Mutex<Bucket>,
}

impl RateLimiter {
    pub(super) fn new(name: Arc<str>, bucket: Bucket, pause_after: Duration) -> Self {
        Self(Arc::new(SharedLimiter {
            gate: Gate::new(format!("rate-limit:{name}")),
            name,
            pause_after,
            bucket: Mutex::new(bucket),
        }))
    }

    /// Returns the name of the limited dependency.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the limiter's gate. It is closed while a lane waits longer than
    /// [`pause_after`](super::RateLimitLayer::pause_after).
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

    /// Takes the next token and returns the time at which it is available. Closes the gate if the
    /// wait is long.
    pub(super) fn take(&self, now: Instant) -> Instant {
        let at = self.0.bucket.lock().take(now);
        let wait = at - now;
        if wait > self.0.pause_after {
            self.0
                .gate
                .close(format!("the next token is available in {wait:?}"));
        }
        at
    }

    /// Opens the gate, because a wait ended with or without its token. A lane that still waits
    /// closes the gate again with its next request.
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
