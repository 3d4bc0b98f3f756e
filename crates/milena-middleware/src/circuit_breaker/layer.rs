//! The layer that makes records wait for a dependency.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::ErrorClass;
use tower_layer::Layer;

use super::breaker::{CircuitBreaker, Settings};
use super::service::CircuitBreakerService;
use super::window::Rule;
use crate::stack::{Kind, Profile, StackLayer};

/// Makes records wait while a dependency is down. Belongs inside retry and outside the timeout. A
/// clone shares the breaker.
///
/// A setter starts a new breaker, so call all setters before you clone the layer.
#[derive(Clone)]
pub struct CircuitBreakerLayer {
    breaker: CircuitBreaker,
}

impl CircuitBreakerLayer {
    /// Creates a breaker for the dependency `name`. It opens for 5 s after 5 failures in a row, and
    /// closes after one successful probe.
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

    /// Sets the failures in a row that open the breaker. At least 1. Default 5.
    #[must_use]
    pub fn consecutive(self, failures: u32) -> Self {
        self.with(|settings| settings.rule = Rule::Consecutive(failures.max(1)))
    }

    /// Opens the breaker when at least `share` (0 to 1) of the last `calls` calls failed, and not
    /// before there were `calls` calls.
    #[must_use]
    pub fn failure_rate(self, share: f64, calls: usize) -> Self {
        let (share, calls) = (share.clamp(f64::MIN_POSITIVE, 1.0), calls.max(1));
        self.with(|settings| settings.rule = Rule::Rate { share, calls })
    }

    /// Sets how long the breaker stays open before it lets probes through. Default 5 s.
    #[must_use]
    pub fn open_for(self, time: Duration) -> Self {
        self.with(|settings| settings.open_for = time)
    }

    /// Sets how many probes must succeed before the breaker closes. At least 1. Default 1. They may
    /// run one after the other or at the same time.
    #[must_use]
    pub fn probes(self, probes: u32) -> Self {
        self.with(|settings| settings.probes = probes.max(1))
    }

    /// Sets the length of a slow start after the breaker has closed. Default 0, no slow start.
    ///
    /// Until `calls` calls have succeeded, the number of calls at once is limited to one more than
    /// have succeeded so far.
    #[must_use]
    pub fn slow_start(self, calls: u32) -> Self {
        self.with(|settings| settings.slow_start = calls)
    }

    /// Sets how many times in a row one record may be the failed probe before its failures use up
    /// its attempts. Default 120, which is ten minutes at 5 s each.
    ///
    /// In a quiet stream, or behind a record in its partition, no other record can be the probe. A
    /// record on which the dependency always fails then looks like an outage. With this limit such
    /// a record becomes a dead letter in the end. Without a limit, set by `None`, it blocks the
    /// stream until somebody acts. In a longer outage, each record at the head of such a stream
    /// gets as many probes.
    #[must_use]
    pub fn probes_per_record(self, probes: impl Into<Option<u32>>) -> Self {
        let probes = probes.into();
        self.with(|settings| settings.probes_per_record = probes)
    }

    /// Sets the classes of errors that count against the dependency. Default
    /// [`ErrorClass::counts_against_dependency`].
    #[must_use]
    pub fn counts(self, counts: impl Fn(ErrorClass) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.counts = Arc::new(counts))
    }

    /// Returns the breaker, to watch it.
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
