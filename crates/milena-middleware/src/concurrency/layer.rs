//! The layer that bounds how many attempts run at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::limit::Bounds;
use super::permits::Permits;
use super::service::Concurrency;
use crate::stack::{Kind, Profile, StackLayer};

/// Bounds how many attempts run at once. Stands inside retry, breaker and rate limit, and outside the timeout. A clone shares the limit.
///
/// A setter starts a limit of its own: set it up first, then clone it.
#[derive(Clone)]
pub struct ConcurrencyLayer {
    bounds: Bounds,
    permits: Arc<Permits>,
}

impl ConcurrencyLayer {
    /// At most so many attempts at once; at least 1.
    #[must_use]
    pub fn new(attempts: usize) -> Self {
        Self::adaptive(attempts, attempts)
    }

    /// Between `min` and `max` attempts at once, as many as go well; begins at 4. `min` is at least 1, and `max` at least `min`.
    #[must_use]
    pub fn adaptive(min: usize, max: usize) -> Self {
        let min = min.max(1);
        Self::with(Bounds {
            min,
            max: max.max(min),
            slow_after: None,
        })
    }

    /// Adaptive: an attempt that takes longer than this counts as overload, whatever it ends with. Default never.
    #[must_use]
    pub fn slow_after(self, time: Duration) -> Self {
        Self::with(Bounds {
            slow_after: Some(time),
            ..self.bounds
        })
    }

    /// How many attempts may run at once now.
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
