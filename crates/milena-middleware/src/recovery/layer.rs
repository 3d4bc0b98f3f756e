//! The layer that catches panics.

use tower_layer::Layer;

use super::service::Recovery;
use crate::stack::{Kind, Profile, StackLayer};

/// Turns a panic into an error of the class [`Panic`](milena_core::ErrorClass::Panic). Stands innermost, so that retry sees the panic.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecoveryLayer;

impl RecoveryLayer {
    /// The layer; it has no settings.
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
