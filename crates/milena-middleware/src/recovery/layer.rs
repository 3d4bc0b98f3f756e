//! The layer that catches panics.

use tower_layer::Layer;

use super::service::Recovery;
use crate::stack::{Kind, Profile, StackLayer};

/// Converts a panic to an error of the class [`Panic`](milena_core::ErrorClass::Panic). Belongs
/// innermost, so that retry sees the panic.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecoveryLayer;

impl RecoveryLayer {
    /// Creates the layer. It has no settings.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for RecoveryLayer {
    type Service = Recovery<S>;

    fn layer(&self, inner: S) -> Recovery<S> {
        Recovery::new(inner)
    }
}

impl StackLayer for RecoveryLayer {
    fn profile(&self) -> Profile {
        Profile::new(Kind::Recovery, "panics become errors")
    }
}
