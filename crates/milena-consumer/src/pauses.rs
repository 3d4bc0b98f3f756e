//! Who holds a partition paused: named holders, counted, so that fetching resumes when the last one lets go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_core::{Gate, Reason, TopicPartition};
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

/// Who holds a partition: a name, and for a gate also which gate of that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    pub(crate) name: Arc<str>,
    /// The gate's; 0 for a holder of which there is one.
    gate: u64,
}

impl Holder {
    /// The one holder of that name.
    pub(crate) fn named(name: impl Into<Arc<str>>) -> Self {
        let (name, gate) = (name.into(), 0);
        Self { name, gate }
    }

    /// A holder of its own, beside others of that name: lanes of one partition hold records side by side, and the partition goes on when
    /// the last of them lets go.
    pub(crate) fn apart(name: impl Into<Arc<str>>) -> Self {
        static HOLDERS: AtomicU64 = AtomicU64::new(0);
        Self {
            name: name.into(),
            // From the other end than gates are numbered.
            gate: u64::MAX - HOLDERS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Two layers may give their gates one name: the gate that is open must not resume what the other paused.
    pub(crate) fn gate(gate: &Gate) -> Self {
        Self {
            name: gate.name().into(),
            gate: gate.id(),
        }
    }
}

/// The holders of one partition.
#[derive(Debug, Default)]
pub(crate) struct Pauses(BTreeMap<Holder, (Reason, Instant)>);

impl Pauses {
    /// `by` holds it now; returns whether that is news. A holder counts once and may change its reason.
    pub(crate) fn hold(&mut self, by: Holder, reason: Reason) -> bool {
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
    pub(crate) fn release(&mut self, by: &Holder) -> bool {
        self.0.remove(by).is_some() && self.0.is_empty()
    }

    pub(crate) fn is_paused(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn is_held_by(&self, by: &Holder) -> bool {
        self.0.contains_key(by)
    }

    /// Each holder of the pauses of `partition`.
    pub(crate) fn told(&self, partition: &TopicPartition) -> Vec<Pause> {
        let pause = |(by, (reason, since)): (&Holder, &(Reason, Instant))| Pause {
            partition: partition.clone(),
            by: Arc::clone(&by.name),
            reason: reason.clone(),
            age: since.elapsed(),
        };
        self.0.iter().map(pause).collect()
    }

    /// The names of the holders, each once.
    pub(crate) fn holders(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.0.keys().map(|by| Arc::clone(&by.name)).collect();
        names.dedup();
        names
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
        pauses.hold(Holder::named("breaker:payments"), "open".into());
        tokio::time::sleep(Duration::from_secs(7)).await;
        pauses.hold(Holder::named("breaker:payments"), "open again".into());
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
        let (breaker, user) = (Holder::named("breaker:payments"), Holder::named("user"));
        assert!(pauses.hold(breaker.clone(), "open".into()));
        assert!(!pauses.hold(breaker.clone(), "open again".into()));
        assert!(pauses.hold(user.clone(), "asked".into()));
        assert!(!pauses.release(&user));
        assert!(pauses.is_paused() && pauses.is_held_by(&breaker));
        assert!(!pauses.release(&Holder::named("someone else")));
        assert!(pauses.release(&breaker));
        assert!(!pauses.is_paused());
    }

    #[test]
    fn of_two_gates_with_one_name_the_open_one_resumes_nothing_of_the_other() {
        let mut pauses = Pauses::default();
        let (one, two) = (
            Holder::gate(&Gate::new("dedup")),
            Holder::gate(&Gate::new("dedup")),
        );
        pauses.hold(one.clone(), "its store is down".into());
        pauses.hold(two.clone(), "its store is down".into());
        assert_eq!(pauses.holders(), ["dedup".into()]);
        assert!(!pauses.release(&two) && pauses.is_paused());
        assert!(pauses.release(&one) && !pauses.is_paused());
    }
}
