//! Kafka's own assignors by their names.

use std::sync::Arc;

use milena_core::{Error, ErrorKind, Result};

use crate::assignor::Assignor;
use crate::range::RangeAssignor;
use crate::round_robin::RoundRobinAssignor;
use crate::sticky::{CooperativeStickyAssignor, StickyAssignor};

/// Returns Kafka's assignor of this name.
///
/// # Errors
/// [`ErrorKind::Config`] if there is none. The text lists the known names.
pub fn named(name: &str) -> Result<Arc<dyn Assignor>> {
    Ok(match name {
        "range" => Arc::new(RangeAssignor),
        "roundrobin" => Arc::new(RoundRobinAssignor),
        "sticky" => Arc::new(StickyAssignor),
        "cooperative-sticky" => Arc::new(CooperativeStickyAssignor),
        _ => {
            let what = format!(
                "there is no assignor `{name}`: use range, roundrobin, sticky or cooperative-sticky, or add your own with \
                 `add_assignor`"
            );
            return Err(
                Error::new(ErrorKind::Config, what).setting("partition.assignment.strategy")
            );
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_assignors_are_found_by_their_names_and_others_are_told() {
        for name in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
            assert_eq!(named(name).unwrap().name(), name);
        }
        let error = named("rnage").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("cooperative-sticky"), "{error}");
    }
}
