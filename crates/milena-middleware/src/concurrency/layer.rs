//! The layer that limits how many attempts run at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::limit::Bounds;
use super::permits::Permits;
use super::service::Concurrency;
use crate::stack::{Kind, Profile, StackLayer};

/// Limits how many attempts run at once. Belongs inside retry, breaker and rate limit, and outside
/// the timeout. A clone shares the limit.
///
/// A setter starts a new limit, so call all setters before you clone the layer.
#[derive(Clone)]
pub struct ConcurrencyLayer {
    /// The bounds of the limit.
    bounds: Bounds,
    /// The permits, shared by all clones.
    permits: Arc<Permits>,
}

impl ConcurrencyLayer {
    /// Creates a fixed limit of `attempts` at once. At least 1.
    #[must_use]
    pub fn new(attempts: usize) -> Self {
        Self::adaptive(attempts, attempts)
    }

    /// Creates an adaptive limit between `min` and `max` attempts at once. It begins at 4 and grows
    /// while attempts succeed. `min` is at least 1, and `max` at least `min`.
    #[must_use]
    pub fn adaptive(min: usize, max: usize) -> Self {
        let min = min.max(1);
        Self::with(Bounds {
            min,
            max: max.max(min),
            slow_after: None,
        })
    }

    /// Sets the time after which an attempt counts as overload, even if it succeeds. For adaptive
    /// limits. Default never.
    #[must_use]
    pub fn slow_after(self, time: Duration) -> Self {
        Self::with(Bounds {
            slow_after: Some(time),
            ..self.bounds
        })
    }

    /// Returns how many attempts may run at once now.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.permits.limit()
    }

    fn with(bounds: Bounds) -> Self {
        Self {
            bounds,
            permits: Permits::new(bounds),
        }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency::new(inner, Arc::clone(&self.permits))
    }
}

impl StackLayer for ConcurrencyLayer {
    fn profile(&self) -> Profile {
        let Bounds { min, max, .. } = self.bounds;
        let text = match min == max {
            true => format!("up to {max} attempts at once"),
            false => format!("{min} to {max} attempts at once, as many as go well"),
        };
        Profile::new(Kind::Concurrency, text)
    }
}

impl fmt::Debug for ConcurrencyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLayer")
            .field("bounds", &self.bounds)
            .field("limit", &self.limit())
            .finish()
    }
}
