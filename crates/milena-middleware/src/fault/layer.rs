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

/// Fails a share of the attempts. Innermost it stands in for a failing handler, further out for
/// failing layers. A clone shares seed and count.
#[derive(Clone, Debug)]
pub struct FaultLayer {
    /// The faults to make, shared by all clones.
    plan: Arc<Plan>,
}

impl FaultLayer {
    /// Creates a layer without faults. The random sequence follows from `seed`.
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

    /// Fails this share of the attempts, 0 to 1, with an error of `class`. Nothing inside runs for
    /// them.
    #[must_use]
    pub fn errors(self, share: f64, class: ErrorClass) -> Self {
        self.with(share, Deed::Error(class))
    }

    /// Delays this share of the attempts by `wait`.
    #[must_use]
    pub fn delays(self, share: f64, wait: Duration) -> Self {
        self.with(share, Deed::Delay(wait))
    }

    /// Panics in this share of the attempts.
    #[must_use]
    pub fn panics(self, share: f64) -> Self {
        self.with(share, Deed::Panic)
    }

    /// Never ends this share of the attempts.
    #[must_use]
    pub fn hangs(self, share: f64) -> Self {
        self.with(share, Deed::Hang)
    }

    /// Runs this share of the attempts to the end and then fails them, as if the answer were lost.
    #[must_use]
    pub fn lost_answers(self, share: f64, class: ErrorClass) -> Self {
        self.with(share, Deed::Lose(class))
    }

    /// Returns the number of faults so far. A test should check it, because a run without a fault
    /// proves nothing.
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
