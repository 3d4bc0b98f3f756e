//! The layer that logs.

use tower_layer::Layer;

use super::service::Log;
use crate::stack::{Kind, Profile, StackLayer};

/// Logs the outcome of each record. Outermost it logs once per record, inside a retry layer once
/// per attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogLayer;

impl LogLayer {
    /// Creates the layer. The `tracing` subscriber selects lines by level and by the target
    /// `milena::process`.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for LogLayer {
    type Service = Log<S>;

    fn layer(&self, inner: S) -> Log<S> {
        Log::new(inner)
    }
}

impl StackLayer for LogLayer {
    fn profile(&self) -> Profile {
        Profile::new(Kind::Log, "one line for each end")
    }
}
