//! The layer that counts attempts.

use tower_layer::Layer;

use super::service::Measured;
use crate::stack::{Kind, Profile, StackLayer};

/// Counts each attempt with its duration and result. Belongs inside retry. Does nothing unless the
/// consumer has a recorder.
#[derive(Clone, Copy, Debug, Default)]
pub struct MetricsLayer;

impl MetricsLayer {
    /// Creates the layer. It uses the consumer's recorder.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured::new(inner)
    }
}

impl StackLayer for MetricsLayer {
    fn profile(&self) -> Profile {
        Profile::new(Kind::Metrics, "counts each attempt").records_attempts()
    }
}
