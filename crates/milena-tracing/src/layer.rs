//! The layer around a handler.

use std::sync::Arc;

use milena_middleware::{Kind, Profile, StackLayer};
use tower_layer::Layer;

use crate::process::{TraceProcess, What};
use crate::sampling::Ratio;

/// Continues the trace of each record in a span that everything inside is a child of.
///
/// Put it outermost. Put [`attempts`](Self::attempts) inside retry for a span per attempt.
#[derive(Clone, Debug)]
pub struct TraceLayer {
    /// The kind of span to make.
    what: What,
    /// The share of records without a context that begin a recorded trace.
    ratio: Ratio,
    /// The consumer group to name in spans. `None` leaves the attribute out.
    group: Option<Arc<str>>,
}

impl TraceLayer {
    /// Makes a `process` span for each record. A record without a context begins a trace.
    #[must_use]
    pub fn new() -> Self {
        Self {
            what: What::Process,
            ratio: Ratio::ALL,
            group: None,
        }
    }

    /// Makes an `attempt` span for each attempt, below the span of a [`TraceLayer`] further out.
    /// Makes none without such a layer, or if the record is not sampled.
    #[must_use]
    pub fn attempts() -> Self {
        Self {
            what: What::Attempt,
            ..Self::new()
        }
    }

    /// Sets the consumer group, for the attribute `messaging.consumer.group.name`. By default it is
    /// left out.
    #[must_use]
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Sets the share of records without a context that are traced, from 0 to 1. Default 1. The
    /// context of a record decides for itself.
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
