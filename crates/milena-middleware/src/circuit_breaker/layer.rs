//! The layer that waits for a dependency.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::ErrorClass;
use tower_layer::Layer;

use super::breaker::{CircuitBreaker, Settings};
use super::service::CircuitBreakerService;
use super::window::Rule;
use crate::stack::{Kind, Profile, StackLayer};

/// Lets records wait while a dependency is down. Stands inside retry and outside the timeout. A clone shares the breaker.
///
/// A setter starts a breaker of its own: set it up first, then clone it.
#[derive(Clone)]
pub struct CircuitBreakerLayer {
    breaker: CircuitBreaker,
}

impl CircuitBreakerLayer {
    /// A breaker for the dependency of that name: opens after 5 failures in a row, for 5 s, and closes after one good probe.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            breaker: CircuitBreaker::new(Settings {
                name: name.into(),
                rule: Rule::Consecutive(5),
                open_for: Duration::from_secs(5),
                probes: 1,
                slow_start: 0,
                probes_per_record: Some(120),
                counts: Arc::new(ErrorClass::counts_against_dependency),
            }),
        }
    }

    /// Opens after so many failures without a success between them; at least 1. Default 5.
    #[must_use]
    pub fn consecutive(self, failures: u32) -> Self {
        self.with(|settings| settings.rule = Rule::Consecutive(failures.max(1)))
    }

    /// Opens when `share` (0 to 1) of the last `calls` calls failed, once there were that many.
    #[must_use]
    pub fn failure_rate(self, share: f64, calls: usize) -> Self {
        let (share, calls) = (share.clamp(f64::MIN_POSITIVE, 1.0), calls.max(1));
        self.with(|settings| settings.rule = Rule::Rate { share, calls })
    }

    /// How long it stays open before it lets probes through. Default 5 s.
    #[must_use]
    pub fn open_for(self, time: Duration) -> Self {
        self.with(|settings| settings.open_for = time)
    }

    /// How many probes have to go well before it closes, each after the other or beside it; at least 1. Default 1.
    #[must_use]
    pub fn probes(self, probes: u32) -> Self {
        self.with(|settings| settings.probes = probes.max(1))
    }

    /// How many calls have to go well after it has closed before any number may run at once: until then there may be one more at a time
    /// than have gone well. Default 0: all at once.
    #[must_use]
    pub fn slow_start(self, calls: u32) -> Self {
        self.with(|settings| settings.slow_start = calls)
    }

    /// How many times in a row one record may be the probe that fails before its failures use up its attempts, as if the breaker were
    /// closed. Default 120: ten minutes at 5 s each.
    ///
    /// Where no other record can be the probe, in a quiet stream or behind that record in its partition, a record that its dependency
    /// always fails on cannot be told from an outage. With the limit it becomes a dead letter some day; without one, by `None`, it holds the
    /// stream until somebody acts. In an outage that lasts longer each record at the head of such a stream has as many probes.
    #[must_use]
    pub fn probes_per_record(self, probes: impl Into<Option<u32>>) -> Self {
        let probes = probes.into();
        self.with(|settings| settings.probes_per_record = probes)
    }

    /// Which classes of errors speak against the dependency. Default [`ErrorClass::counts_against_dependency`].
    #[must_use]
    pub fn counts(self, counts: impl Fn(ErrorClass) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.counts = Arc::new(counts))
    }

    /// The breaker, to watch it.
    #[must_use]
    pub fn breaker(&self) -> CircuitBreaker {
        self.breaker.clone()
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.breaker.0.settings.clone();
        change(&mut settings);
        Self {
            breaker: CircuitBreaker::new(settings),
        }
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreakerService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreakerService::new(inner, self.breaker.clone())
    }
}

impl StackLayer for CircuitBreakerLayer {
    fn profile(&self) -> Profile {
        let Settings {
            name,
            open_for,
            probes_per_record,
            ..
        } = &self.breaker.0.settings;
        let counted = match probes_per_record {
            Some(probes) => format!("; one that is its probe {probes} times in a row counts again"),
            None => String::new(),
        };
        let text = format!("`{name}`; open for {open_for:?}, records wait meanwhile{counted}");
        let breaker = self.breaker();
        Profile::new(Kind::CircuitBreaker, text)
            .gate(breaker.gate().clone())
            .gauges(Arc::new(breaker))
    }
}

impl fmt::Debug for CircuitBreakerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CircuitBreakerLayer")
            .field(&self.breaker)
            .finish()
    }
}
