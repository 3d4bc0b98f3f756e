//! The layer that passes over records.

use std::fmt;
use std::sync::Arc;

use milena_core::{ConsumerRecord, Reason};
use tower_layer::Layer;

use super::service::{Filter, Keep};
use crate::stack::{Kind, Profile, StackLayer};

/// Lets only some records through. May be anywhere. Outside of costly layers it saves their work.
#[derive(Clone)]
pub struct FilterLayer {
    /// The reason with which records are skipped.
    reason: Reason,
    /// Returns true for the records to keep.
    keep: Keep,
}

impl FilterLayer {
    /// Creates a layer that keeps the records for which `keep` returns true, and skips the others
    /// with `reason`. `keep` runs on the lane and must return at once.
    #[must_use]
    pub fn new(
        reason: impl Into<Reason>,
        keep: impl Fn(&ConsumerRecord) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            reason: reason.into(),
            keep: Arc::new(keep),
        }
    }
}

impl<S> Layer<S> for FilterLayer {
    type Service = Filter<S>;

    fn layer(&self, inner: S) -> Filter<S> {
        Filter::new(inner, self.reason.clone(), Arc::clone(&self.keep))
    }
}

impl StackLayer for FilterLayer {
    fn profile(&self) -> Profile {
        Profile::new(
            Kind::Filter,
            format!("skips records that are {}", self.reason),
        )
    }
}

impl fmt::Debug for FilterLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FilterLayer").field(&self.reason).finish()
    }
}
