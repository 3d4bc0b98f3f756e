//! The layer that classifies errors.

use milena_core::ErrorMap;
use tower_layer::Layer;

use super::service::Classified;
use crate::stack::{Kind, Profile, StackLayer};

/// Gives errors a class by a table. Stands inside whatever asks for the class: retry, breaker, dead letter.
#[derive(Clone, Debug)]
pub struct ClassifyLayer {
    map: ErrorMap,
}

impl ClassifyLayer {
    /// Classifies by that table.
    #[must_use]
    pub fn new(map: ErrorMap) -> Self {
        Self { map }
    }
}

impl<S> Layer<S> for ClassifyLayer {
    type Service = Classified<S>;

    fn layer(&self, inner: S) -> Classified<S> {
        Classified::new(inner, self.map.clone())
    }
}

impl StackLayer for ClassifyLayer {
    fn profile(&self) -> Profile {
        Profile::new(Kind::Classify, "errors get their class from a table")
    }
}
