//! Pauses of a feed. Each pause has a holder, and the feed resumes when the last holder lets go.

use std::cmp::Ordering as Order;
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

/// The holder of a pause.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PauseHolder {
    /// The program itself, by a call of `pause`.
    User,
    /// The window of records that wait behind a slow one. It is full.
    Window,
    /// A lane that cannot continue. It never lets go.
    LaneStopped,
    /// The listener of rebalances, until it has returned.
    RebalanceListener,
    /// A record that is held until its time. Several lanes of one partition can hold a record each,
    /// so each hold has a number of its own.
    Hold(u64),
    /// A closed gate of a layer. Two layers may give their gates the same name, so the id counts.
    Gate {
        /// The name of the gate.
        name: Arc<str>,
        /// The id of the gate.
        id: u64,
    },
}

impl PauseHolder {
    /// Returns the holder for a record that is held. It differs from all other holds.
    #[must_use]
    pub fn hold() -> Self {
        static HOLDS: AtomicU64 = AtomicU64::new(0);
        Self::Hold(HOLDS.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the holder for a gate.
    #[must_use]
    pub fn gate(gate: &Gate) -> Self {
        Self::Gate {
            name: gate.name().into(),
            id: gate.id(),
        }
    }

    /// Returns the name that is shown to people.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Window => "window",
            Self::LaneStopped => "lane-stopped",
            Self::RebalanceListener => "rebalance-listener",
            Self::Hold(_) => "hold",
            Self::Gate { name, .. } => name,
        }
    }

    /// Returns the key by which holders differ and are ordered. Holders are shown by name.
    fn key(&self) -> (&str, bool, u64) {
        let (is_gate, number) = match self {
            Self::User | Self::Window | Self::LaneStopped | Self::RebalanceListener => (false, 0),
            Self::Hold(number) => (false, *number),
            // A user may name a gate `hold`, and its id must not meet the number of a hold.
            Self::Gate { id, .. } => (true, *id),
        };
        (self.name(), is_gate, number)
    }
}

impl PartialEq for PauseHolder {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PauseHolder {}

impl PartialOrd for PauseHolder {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

impl Ord for PauseHolder {
    fn cmp(&self, other: &Self) -> Order {
        self.key().cmp(&other.key())
    }
}

/// The holders of one partition, each with its reason and the time since which it holds.
#[derive(Debug, Default)]
pub struct Pauses(
    /// The holders. A feed without any is not paused.
    BTreeMap<PauseHolder, (Reason, Instant)>,
);

impl Pauses {
    /// Adds a holder. Returns true if it did not hold the partition before. A holder counts once,
    /// and may change its reason.
    pub fn hold(&mut self, by: PauseHolder, reason: Reason) -> bool {
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
    pub fn release(&mut self, by: &PauseHolder) -> bool {
        self.0.remove(by).is_some() && self.0.is_empty()
    }

    /// Returns true if there is a holder.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        !self.0.is_empty()
    }

    /// Returns true if `by` is among the holders.
    #[must_use]
    pub fn is_held_by(&self, by: &PauseHolder) -> bool {
        self.0.contains_key(by)
    }

    /// Returns the pauses, for display.
    #[must_use]
    pub fn told(&self, partition: &TopicPartition) -> Vec<Pause> {
        let pause = |(by, (reason, since)): (&PauseHolder, &(Reason, Instant))| Pause {
            partition: partition.clone(),
            by: by.name().into(),
            reason: reason.clone(),
            age: since.elapsed(),
        };
        self.0.iter().map(pause).collect()
    }

    /// Returns the names of the holders, each once.
    #[must_use]
    pub fn holders(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = self.0.keys().map(|by| by.name().into()).collect();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> PauseHolder {
        PauseHolder::Gate {
            name: "breaker:payments".into(),
            id: 7,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_has_a_reason_that_may_change_and_an_age_that_does_not_begin_anew() {
        let mut pauses = Pauses::default();
        pauses.hold(breaker(), "open".into());
        tokio::time::sleep(Duration::from_secs(7)).await;
        pauses.hold(breaker(), "open again".into());
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
        let (breaker, user) = (breaker(), PauseHolder::User);
        assert!(pauses.hold(breaker.clone(), "open".into()));
        assert!(!pauses.hold(breaker.clone(), "open again".into()));
        assert!(pauses.hold(user.clone(), "asked".into()));
        assert!(!pauses.release(&user));
        assert!(pauses.is_paused() && pauses.is_held_by(&breaker));
        assert!(!pauses.release(&PauseHolder::Window));
        assert!(pauses.release(&breaker));
        assert!(!pauses.is_paused());
    }

    #[test]
    fn of_two_gates_with_one_name_the_open_one_resumes_nothing_of_the_other() {
        let mut pauses = Pauses::default();
        let (one, two) = (
            PauseHolder::gate(&Gate::new("dedup")),
            PauseHolder::gate(&Gate::new("dedup")),
        );
        pauses.hold(one.clone(), "its store is down".into());
        pauses.hold(two.clone(), "its store is down".into());
        assert_eq!(pauses.holders(), ["dedup".into()]);
        assert!(!pauses.release(&two) && pauses.is_paused());
        assert!(pauses.release(&one) && !pauses.is_paused());
    }
}
