//! Who holds a partition paused: named holders, counted, so that fetching resumes when the last one lets go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Reason, TopicPartition};
use tokio::time::Instant;

/// A holder of a pause: who keeps a partition from being fetched, why, and for how long it has.
///
/// A partition goes on when the last of its holders lets go: a layer whose gate opens (`breaker:payments`), an operator's gate, a record
/// that is held until its time (`hold`), the user's own `pause` (`user`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pause {
    /// The partition.
    pub partition: TopicPartition,
    /// Who holds it: a gate's name, `hold`, `user`, `lane-stopped`.
    pub by: Arc<str>,
    /// Why.
    pub reason: Reason,
    /// For how long.
    pub age: Duration,
}

/// The holders of one partition.
#[derive(Debug, Default)]
pub(crate) struct Pauses(BTreeMap<Arc<str>, (Reason, Instant)>);

impl Pauses {
    /// `by` holds it now; returns whether that is news. A holder counts once and may change its reason.
    pub(crate) fn hold(&mut self, by: Arc<str>, reason: Reason) -> bool {
        let now = Instant::now();
        match self.0.get_mut(&by) {
            Some((known, _)) => {
                *known = reason;
                false
            }
            None => self.0.insert(by, (reason, now)).is_none(),
        }
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

    /// Each holder of the pauses of `partition`.
    pub(crate) fn told(&self, partition: &TopicPartition) -> Vec<Pause> {
        let pause = |(by, (reason, since)): (&Arc<str>, &(Reason, Instant))| Pause {
            partition: partition.clone(),
            by: Arc::clone(by),
            reason: reason.clone(),
            age: since.elapsed(),
        };
        self.0.iter().map(pause).collect()
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

    #[tokio::test(start_paused = true)]
    async fn a_holder_has_a_reason_that_may_change_and_an_age_that_does_not_begin_anew() {
        let mut pauses = Pauses::default();
        pauses.hold("breaker:payments".into(), "open".into());
        tokio::time::sleep(Duration::from_secs(7)).await;
        pauses.hold("breaker:payments".into(), "open again".into());
        let told = pauses.told(&TopicPartition::new("orders", 3));
        let told: Vec<_> = told
            .iter()
            .map(|p| (&*p.by, &*p.reason, p.age.as_secs()))
            .collect();
        assert_eq!(told, [("breaker:payments", "open again", 7)]);
    }

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
