//! Who holds a partition paused: named holders, counted, so that fetching resumes when the last one lets go.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_core::Reason;

/// The holders of one partition.
#[derive(Debug, Default)]
pub(crate) struct Pauses(BTreeMap<Arc<str>, Reason>);

impl Pauses {
    /// `by` holds it now; returns whether that is news. A holder counts once and may change its reason.
    pub(crate) fn hold(&mut self, by: Arc<str>, reason: Reason) -> bool {
        self.0.insert(by, reason).is_none()
    }

    /// `by` lets go; returns whether it was the last one.
    pub(crate) fn release(&mut self, by: &str) -> bool {
        self.0.remove(by).is_some() && self.0.is_empty()
    }

    pub(crate) fn is_paused(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn is_held_by(&self, by: &str) -> bool {
        self.0.contains_key(by)
    }

    pub(crate) fn holders(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }
}

/// The holder of pauses that the user asked for.
pub(crate) const USER: &str = "user";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetching_resumes_when_the_last_holder_lets_go() {
        let mut pauses = Pauses::default();
        assert!(pauses.hold("breaker:payments".into(), "open".into()));
        assert!(!pauses.hold("breaker:payments".into(), "open again".into()));
        assert!(pauses.hold("user".into(), "asked".into()));
        assert!(!pauses.release("user"));
        assert!(pauses.is_paused() && pauses.is_held_by("breaker:payments"));
        assert!(!pauses.release("someone else"));
        assert!(pauses.release("breaker:payments"));
        assert!(!pauses.is_paused());
    }
}
