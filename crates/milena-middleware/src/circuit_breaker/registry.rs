//! Breakers by the names of their dependencies. Each is made once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{CircuitBreaker, CircuitBreakerLayer};

/// A registry of breakers by the names of their dependencies. All layers for one name share a
/// breaker. A clone is the same registry.
///
/// ```
/// use std::time::Duration;
///
/// use milena_middleware::circuit_breaker::CircuitBreakers;
///
/// let breakers = CircuitBreakers::new(|layer| {
///     layer.consecutive(10).open_for(Duration::from_secs(30))
/// });
/// let (orders, refunds) = (breakers.layer("payments"), breakers.layer("payments"));
/// orders.breaker().hold_open("payments are being upgraded");
/// assert!(!refunds.breaker().gate().is_open());
/// assert_eq!(breakers.all().len(), 1);
/// ```
#[derive(Clone)]
pub struct CircuitBreakers {
    /// Configures each new breaker.
    set_up: Arc<dyn Fn(CircuitBreakerLayer) -> CircuitBreakerLayer + Send + Sync>,
    /// The breakers made so far, by dependency.
    known: Arc<Mutex<BTreeMap<Arc<str>, CircuitBreakerLayer>>>,
}

impl CircuitBreakers {
    /// Creates a registry. `set_up` changes the defaults of [`CircuitBreakerLayer::new`] for each
    /// breaker.
    #[must_use]
    pub fn new(
        set_up: impl Fn(CircuitBreakerLayer) -> CircuitBreakerLayer + Send + Sync + 'static,
    ) -> Self {
        Self {
            set_up: Arc::new(set_up),
            known: Arc::default(),
        }
    }

    /// Returns the layer with the breaker of `dependency`. The first call for a name makes the
    /// breaker.
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

    /// Returns all breakers made so far, ordered by name.
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
