//! The layer that classifies errors.

use milena_core::ErrorMap;
use tower_layer::Layer;

use super::service::Classified;
use crate::stack::{Kind, Profile, StackLayer};

/// Gives errors a class from a table. Belongs inside the layers that use the class, which are
/// retry, breaker and dead letter.
#[derive(Clone, Debug)]
pub struct ClassifyLayer {
    map: ErrorMap,
}

impl ClassifyLayer {
    /// Creates a layer that classifies by `map`.
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
