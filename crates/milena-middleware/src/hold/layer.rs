//! The layer with which an operator stops a route.

use milena_core::Gate;
use tower_layer::Layer;

use super::service::Hold;
use crate::stack::{Kind, Profile, StackLayer};

/// Makes a route not ready while a gate is closed. May be anywhere.
#[derive(Clone, Debug)]
pub struct HoldLayer {
    gate: Gate,
}

impl HoldLayer {
    /// Creates a layer for `gate`. Every holder of a clone can open and close it.
    #[must_use]
    pub fn new(gate: Gate) -> Self {
        Self { gate }
    }
}

impl<S> Layer<S> for HoldLayer {
    type Service = Hold<S>;

    fn layer(&self, inner: S) -> Hold<S> {
        Hold::new(inner, self.gate.clone())
    }
}

impl StackLayer for HoldLayer {
    fn profile(&self) -> Profile {
        let text = format!(
            "while the gate `{}` is closed, records wait",
            self.gate.name()
        );
        Profile::new(Kind::Hold, text).gate(self.gate.clone())
    }
}
