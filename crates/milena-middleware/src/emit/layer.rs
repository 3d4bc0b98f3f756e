//! The layer that sends what a handler makes.

use std::fmt;

use tower_layer::Layer;

use super::service::Emit;
use crate::stack::{Kind, Profile, StackLayer};

/// Sends the records that the handler made. Stands inside retry, and outside breaker and timeout.
#[derive(Clone)]
pub struct EmitLayer<P> {
    sink: P,
}

impl<P> EmitLayer<P> {
    /// Sends by `sink`: a producer, or any tower service that answers once a broker has the record.
    pub fn new(sink: P) -> Self {
        Self { sink }
    }
}

impl<S, P: Clone> Layer<S> for EmitLayer<P> {
    type Service = Emit<S, P>;

    fn layer(&self, inner: S) -> Emit<S, P> {
        Emit::new(inner, self.sink.clone())
    }
}

impl<P> StackLayer for EmitLayer<P> {
    fn profile(&self) -> Profile {
        Profile::new(Kind::Emit, "what the handler makes, acknowledged first")
    }
}

impl<P> fmt::Debug for EmitLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmitLayer").finish_non_exhaustive()
    }
}
