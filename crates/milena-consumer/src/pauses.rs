//! Pauses of a partition. Each pause has a named holder, and fetching resumes when the last holder
//! lets go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_core::{Gate, Reason, TopicPartition};
use tokio::time::Instant;

/// A pause of a partition by one holder, with its reason and age.
///
/// A partition resumes when the last of its holders lets go. Holders are layers whose gate is
/// closed (`breaker:payments`), gates of an operator, records that are held until their time
/// (`hold`), and the user's own `pause` (`user`).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pause {
    /// The paused partition.
    pub partition: TopicPartition,
    /// The name of the holder, such as the name of a gate, `hold`, `user`, or `lane-stopped`.
    pub by: Arc<str>,
    /// The reason for the pause.
    pub reason: Reason,
    /// The time since this holder paused the partition.
    pub age: Duration,
}

/// The holder of a pause. It has a name and, for a gate, also the number of the gate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    /// The name that is shown to the user.
    pub(crate) name: Arc<str>,
    /// Distinguishes holders with the same name. The id of a gate, 0 for a name that has one
    /// holder, or a number counted down from `u64::MAX` for other holders.
    gate: u64,
}

impl Holder {
    /// Returns the only holder with this name.
    pub(crate) fn named(name: impl Into<Arc<str>>) -> Self {
        let (name, gate) = (name.into(), 0);
        Self { name, gate }
    }

    /// Returns a new holder, distinct from all others with this name. Several lanes of one
    /// partition can hold a record at once, and the partition resumes when the last of them lets
    /// go.
    pub(crate) fn apart(name: impl Into<Arc<str>>) -> Self {
        static HOLDERS: AtomicU64 = AtomicU64::new(0);
        Self {
            name: name.into(),
            // Counted down, since the ids of gates are counted up.
            gate: u64::MAX - HOLDERS.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Returns the holder for a gate. It carries the id of the gate, since two layers may give
    /// their gates the same name. A gate that opens must not resume what the other one paused.
    pub(crate) fn gate(gate: &Gate) -> Self {
        Self {
            name: gate.name().into(),
            gate: gate.id(),
        }
    }
}

/// The holders of one partition, each with its reason and the time since which it holds.
#[derive(Debug, Default)]
pub(crate) struct Pauses(BTreeMap<Holder, (Reason, Instant)>);

impl Pauses {
    /// Adds a holder. Returns true if it did not hold the partition before. A holder counts once,
    /// and may change its reason.
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

    /// Removes a holder. Returns true if it was the last one.
    pub(crate) fn release(&mut self, by: &Holder) -> bool {
        self.0.remove(by).is_some() && self.0.is_empty()
    }

    pub(crate) fn is_paused(&self) -> bool {
        !self.0.is_empty()
    }

    pub(crate) fn is_held_by(&self, by: &Holder) -> bool {
        self.0.contains_key(by)
    }

    /// Returns the pauses, for display.
    pub(crate) fn told(&self, partition: &TopicPartition) -> Vec<Pause> {
        let pause = |(by, (reason, since)): (&Holder, &(Reason, Instant))| Pause {
            partition: partition.clone(),
            by: Arc::clone(&by.name),
            reason: reason.clone(),
            age: since.elapsed(),
        };
        self.0.iter().map(pause).collect()
    }

    /// Returns the names of the holders, each once.
    pub(crate) fn holders(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.0.keys().map(|by| Arc::clone(&by.name)).collect();
        names.dedup();
        names
    }
}

/// Name of the holder for pauses that the user asked for.
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
