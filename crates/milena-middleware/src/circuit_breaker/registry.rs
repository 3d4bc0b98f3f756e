//! Breakers by the names of their dependencies, each made once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{CircuitBreaker, CircuitBreakerLayer};

/// Breakers by the names of their dependencies: whoever asks for a name gets a clone of the same breaker. A clone is the same registry.
///
/// ```
/// use std::time::Duration;
///
/// use milena_middleware::circuit_breaker::CircuitBreakers;
///
/// let breakers = CircuitBreakers::new(|layer| layer.consecutive(10).open_for(Duration::from_secs(30)));
/// let (orders, refunds) = (breakers.layer("payments"), breakers.layer("payments"));
/// orders.breaker().hold_open("payments are being upgraded");
/// assert!(!refunds.breaker().gate().is_open());
/// assert_eq!(breakers.all().len(), 1);
/// ```
#[derive(Clone)]
pub struct CircuitBreakers {
    set_up: Arc<dyn Fn(CircuitBreakerLayer) -> CircuitBreakerLayer + Send + Sync>,
    known: Arc<Mutex<BTreeMap<Arc<str>, CircuitBreakerLayer>>>,
}

impl CircuitBreakers {
    /// A registry whose breakers are set up by `set_up`, from the defaults of [`CircuitBreakerLayer::new`].
    #[must_use]
    pub fn new(
        set_up: impl Fn(CircuitBreakerLayer) -> CircuitBreakerLayer + Send + Sync + 'static,
    ) -> Self {
        Self {
            set_up: Arc::new(set_up),
            known: Arc::default(),
        }
    }

    /// The layer with the breaker of that dependency; made when first asked for.
    #[must_use]
    pub fn layer(&self, dependency: impl Into<Arc<str>>) -> CircuitBreakerLayer {
        let dependency = dependency.into();
        let mut known = self.known.lock();
        let make = || (self.set_up)(CircuitBreakerLayer::new(Arc::clone(&dependency)));
        known
            .entry(Arc::clone(&dependency))
            .or_insert_with(make)
            .clone()
    }

    /// All breakers that were asked for, by name.
    #[must_use]
    pub fn all(&self) -> Vec<CircuitBreaker> {
        let known = self.known.lock();
        known.values().map(CircuitBreakerLayer::breaker).collect()
    }
}

impl Default for CircuitBreakers {
    fn default() -> Self {
        Self::new(|layer| layer)
    }
}

impl fmt::Debug for CircuitBreakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}
