//! The layer that makes faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use milena_core::ErrorClass;
use parking_lot::Mutex;
use tower_layer::Layer;

use super::service::{Deed, Fault, Plan};
use crate::stack::{Kind, Profile, StackLayer};

/// Fails a share of the attempts. Stands innermost to stand in for the handler, further out to stand in for layers. A clone shares seed
/// and count.
#[derive(Clone, Debug)]
pub struct FaultLayer {
    plan: Arc<Plan>,
}

impl FaultLayer {
    /// No faults yet; what is drawn follows from `seed`.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self {
            plan: Arc::new(Plan {
                seed,
                deeds: Vec::new(),
                draw: Mutex::new(Rng::with_seed(seed)),
                made: AtomicU64::new(0),
            }),
        }
    }

    /// This share of the attempts, 0 to 1, fails with an error of that class, and nothing inside runs.
    #[must_use]
    pub fn errors(self, share: f64, class: ErrorClass) -> Self {
        self.with(share, Deed::Error(class))
    }

    /// This share of the attempts waits so long before it runs.
    #[must_use]
    pub fn delays(self, share: f64, wait: Duration) -> Self {
        self.with(share, Deed::Delay(wait))
    }

    /// This share of the attempts panics.
    #[must_use]
    pub fn panics(self, share: f64) -> Self {
        self.with(share, Deed::Panic)
    }

    /// This share of the attempts never ends.
    #[must_use]
    pub fn hangs(self, share: f64) -> Self {
        self.with(share, Deed::Hang)
    }

    /// This share of the attempts runs to its end, and then fails all the same, as when an answer is lost.
    #[must_use]
    pub fn lost_answers(self, share: f64, class: ErrorClass) -> Self {
        self.with(share, Deed::Lose(class))
    }

    /// How many faults there were so far: a test whose faults never came has shown nothing.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.plan.made.load(Ordering::Relaxed)
    }

    fn with(self, share: f64, deed: Deed) -> Self {
        let mut deeds = self.plan.deeds.clone();
        deeds.push((share.clamp(0.0, 1.0), deed));
        let seed = self.plan.seed;
        Self {
            plan: Arc::new(Plan {
                seed,
                deeds,
                draw: Mutex::new(Rng::with_seed(seed)),
                made: AtomicU64::new(0),
            }),
        }
    }
}

impl<S> Layer<S> for FaultLayer {
    type Service = Fault<S>;

    fn layer(&self, inner: S) -> Fault<S> {
        Fault::new(inner, Arc::clone(&self.plan))
    }
}

impl StackLayer for FaultLayer {
    fn profile(&self) -> Profile {
        let all: f64 = self.plan.deeds.iter().map(|(share, _)| share).sum();
        let text = format!("{:.1} % of the attempts fail on purpose", all * 100.0);
        Profile::new(Kind::Fault, text)
    }
}
