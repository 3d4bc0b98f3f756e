//! Kafka's own assignors by their names.

use std::sync::Arc;

use milena_core::{AssignorName, Error, ErrorKind, Result};

use crate::assignor::Assignor;
use crate::range::RangeAssignor;
use crate::round_robin::RoundRobinAssignor;
use crate::sticky::{CooperativeStickyAssignor, StickyAssignor};

/// Returns Kafka's assignor of this name.
#[must_use]
pub fn built_in(name: AssignorName) -> Arc<dyn Assignor> {
    match name {
        AssignorName::CooperativeSticky => Arc::new(CooperativeStickyAssignor),
        AssignorName::Sticky => Arc::new(StickyAssignor),
        AssignorName::Range => Arc::new(RangeAssignor),
        AssignorName::RoundRobin => Arc::new(RoundRobinAssignor),
    }
}

/// Returns Kafka's assignor of the name in this text.
///
/// # Errors
/// [`ErrorKind::Config`] if there is none. The text lists the known names.
pub fn named(name: &str) -> Result<Arc<dyn Assignor>> {
    name.parse().map(built_in).map_err(|_: Error| {
        let what = format!(
            "there is no assignor `{name}`; use {}, or add your own with `add_assignor`",
            AssignorName::ALLOWED
        );
        Error::new(ErrorKind::Config, what).setting("partition.assignment.strategy")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_assignors_are_found_by_their_names_and_others_are_told() {
        for name in AssignorName::ALL {
            assert_eq!(built_in(name).name(), name.name());
            assert_eq!(named(name.name()).unwrap().name(), name.name());
        }
        let error = named("rnage").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("cooperative-sticky"), "{error}");
    }
}
