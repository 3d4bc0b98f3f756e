//! The layer around a handler.

use std::sync::Arc;

use milena_middleware::{Kind, Profile, StackLayer};
use tower_layer::Layer;

use crate::process::{TraceProcess, What};
use crate::sampling::Ratio;

/// Continues the trace of each record in a span, below which everything inside hangs. Stands outermost; [inside
/// retry](Self::attempts) it makes a span for each attempt.
#[derive(Clone, Debug)]
pub struct TraceLayer {
    what: What,
    ratio: Ratio,
    group: Option<Arc<str>>,
}

impl TraceLayer {
    /// A `process` span for each record. A record without a context begins a trace.
    #[must_use]
    pub fn new() -> Self {
        Self {
            what: What::Process,
            ratio: Ratio::ALL,
            group: None,
        }
    }

    /// An `attempt` span for each attempt, below the span of a [`TraceLayer`] further out; without one, or where the record is not
    /// sampled, nothing.
    #[must_use]
    pub fn attempts() -> Self {
        Self {
            what: What::Attempt,
            ..Self::new()
        }
    }

    /// The consumer group, for the attribute `messaging.consumer.group.name`. Default it is left out.
    #[must_use]
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// How many of the records that come without a context are traced, 0 to 1. Default 1; those with one are as it says.
    #[must_use]
    pub fn sample(mut self, ratio: f64) -> Self {
        self.ratio = Ratio::new(ratio);
        self
    }
}

impl Default for TraceLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = TraceProcess<S>;

    fn layer(&self, inner: S) -> TraceProcess<S> {
        TraceProcess::new(inner, self.what, self.ratio, self.group.clone())
    }
}

impl StackLayer for TraceLayer {
    fn profile(&self) -> Profile {
        Profile::new(
            Kind::Trace,
            match self.what {
                What::Process => "a span for each record",
                What::Attempt => "a span for each attempt",
            },
        )
    }
}
