//! Claims that contradict the metadata. They are believed only once they are confirmed.
//!
//! A broker that has just started, or that lags behind, may show an old version of a topic or none.
//! Topic ids have no order, so one answer cannot show which of two ids is newer.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use milena_core::{NodeId, TopicName};
use tokio::time::Instant;
use uuid::Uuid;

/// A claim in an answer that contradicts the metadata of a known topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The topic was deleted and created again. It has this other id.
    Anew(Uuid),
    /// The topic was deleted and created again, with this smaller number of partitions. Only on
    /// brokers without topic ids.
    Smaller(usize),
    /// The topic does not exist.
    Gone,
}

/// The claims that are neither confirmed nor refuted, and when each broker answered last.
#[derive(Default)]
pub(crate) struct Doubts {
    /// The open claim about each topic. A topic has at most one.
    topics: HashMap<TopicName, Doubt>,
    /// The turn in which each broker answered last.
    heard: HashMap<NodeId, u64>,
    /// Number of answers so far.
    turn: u64,
}

struct Doubt {
    /// The claim.
    claim: Claim,
    /// The brokers whose last answer makes the claim. A broker is in one of the two sets at most.
    said_by: HashSet<NodeId>,
    /// The brokers whose last answer agrees with the metadata.
    denied_by: HashSet<NodeId>,
    /// Number of answers that made the claim.
    times: u32,
    /// The time of the first answer that made the claim.
    since: Instant,
}

impl Doubt {
    fn new(claim: Claim, since: Instant) -> Self {
        Self {
            claim,
            said_by: HashSet::new(),
            denied_by: HashSet::new(),
            times: 0,
            since,
        }
    }
}

/// The origin of an answer.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// The broker that answered. `None` for a connection to a bootstrap address.
    pub(crate) node: Option<NodeId>,
    /// True if no other broker exists that could confirm a claim.
    pub(crate) alone: bool,
    /// The time of the answer.
    pub(crate) now: Instant,
}

impl Doubts {
    /// Notes that an answer makes `claim` about `topic`. Returns true if the claim is now
    /// confirmed.
    ///
    /// - A claim that another topic took the place of a known one is confirmed if two brokers make
    ///   it and fewer refute it, if it was made three times and no broker refutes it, or if there
    ///   is only one broker.
    /// - A claim that a topic is gone is confirmed if it is still made after some seconds. More
    ///   brokers do not confirm it sooner, because all brokers of a restarting cluster may not know
    ///   the topic for a moment.
    pub(crate) fn believes(&mut self, topic: &TopicName, claim: Claim, from: Source) -> bool {
        if from.alone && claim != Claim::Gone {
            self.topics.remove(topic);
            return true;
        }
        let fresh = || Doubt::new(claim, from.now);
        let doubt = self.topics.entry(topic.clone()).or_insert_with(fresh);
        if doubt.claim != claim {
            *doubt = fresh();
        }
        doubt.times += 1;
        if let Some(node) = from.node {
            doubt.denied_by.remove(&node);
            doubt.said_by.insert(node);
        }
        let (said, denied) = (doubt.said_by.len(), doubt.denied_by.len());
        let confirmed = match claim {
            Claim::Gone => from.now.saturating_duration_since(doubt.since) >= GONE_AFTER,
            Claim::Anew(_) | Claim::Smaller(_) => {
                (said >= 2 && said > denied) || (denied == 0 && doubt.times >= REPEATED)
            }
        };
        if confirmed {
            self.topics.remove(topic);
        }
        confirmed
    }

    /// Notes that an answer agrees with the metadata of `topic`. Removes the claim if no broker's
    /// last answer makes it any more. A single such answer refutes that the topic is gone.
    pub(crate) fn deny(&mut self, topic: &TopicName, by: Option<NodeId>) {
        let Some(doubt) = self.topics.get_mut(topic) else {
            return;
        };
        if let Some(node) = by {
            doubt.said_by.remove(&node);
            doubt.denied_by.insert(node);
        }
        if doubt.claim == Claim::Gone || doubt.said_by.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Removes the claim about a topic that was replaced for certain.
    pub(crate) fn settle(&mut self, topic: &TopicName) {
        self.topics.remove(topic);
    }

    /// Notes that a broker has answered. Removes claims about topics that left the metadata.
    pub(crate) fn hear(&mut self, node: Option<NodeId>, is_known: impl Fn(&TopicName) -> bool) {
        self.topics.retain(|topic, _| is_known(topic));
        if let Some(node) = node {
            self.turn += 1;
            self.heard.insert(node, self.turn);
        }
    }

    /// Returns the time of the next refresh to confirm a claim. `None` without such claims.
    pub(crate) fn next_look(&self, now: Instant) -> Option<Instant> {
        let looks = self.topics.values().filter_map(|doubt| match doubt.claim {
            Claim::Gone => Some(doubt.since + GONE_AFTER),
            // A broker that lags for long is no reason to ask forever.
            Claim::Anew(_) | Claim::Smaller(_) => {
                (now < doubt.since + LOOKED_INTO).then_some(doubt.since)
            }
        });
        looks.min()
    }

    /// Returns true if there are claims that another broker may confirm or refute.
    pub(crate) fn are_open(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Returns true if an answer of another broker could confirm a claim at once.
    pub(crate) fn want_a_witness(&self) -> bool {
        let mut doubts = self.topics.values();
        doubts.any(|doubt| doubt.claim != Claim::Gone)
    }

    /// Returns the turn in which a broker answered last, 0 if never. The broker with the lowest
    /// turn has been silent for longest.
    pub(crate) fn turn_of(&self, node: NodeId) -> u64 {
        self.heard.get(&node).copied().unwrap_or(0)
    }
}

/// Time for which a topic must be missing until it counts as deleted.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// Time for which refreshes are made to confirm that a topic was replaced.
const LOOKED_INTO: Duration = Duration::from_secs(30);
/// Number of answers that confirm a claim if no other broker can be asked.
const REPEATED: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn from(node: i32, now: Instant) -> Source {
        Source {
            node: NodeId::from_wire(node),
            alone: false,
            now,
        }
    }

    fn node(id: i32) -> Option<NodeId> {
        NodeId::from_wire(id)
    }

    #[tokio::test(start_paused = true)]
    async fn another_topic_is_believed_of_two_brokers_or_of_one_that_repeats_it() {
        let (topic, now) = (TopicName::from("orders"), Instant::now());
        let claim = Claim::Anew(Uuid::from_u128(9));
        let mut doubts = Doubts::default();
        assert!(!doubts.believes(&topic, claim, from(1, now)));
        doubts.hear(node(1), |_| true);
        let turns = [1, 2].map(|id| doubts.turn_of(NodeId::from_wire(id).unwrap()));
        assert!(turns[1] < turns[0], "the other one is to be asked");
        assert_eq!(doubts.next_look(now), Some(now));
        assert!(doubts.believes(&topic, claim, from(2, now)));
        assert_eq!(doubts.next_look(now), None);
        let said: Vec<_> = (0..3)
            .map(|_| doubts.believes(&topic, claim, from(1, now)))
            .collect();
        assert_eq!(said, [false, false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_broker_of_three_never_persuades() {
        let (topic, now) = (TopicName::from("orders"), Instant::now());
        let claim = Claim::Anew(Uuid::from_u128(9));
        let mut doubts = Doubts::default();
        for _ in 0..9 {
            doubts.deny(&topic, node(1));
            assert!(!doubts.believes(&topic, claim, from(2, now)));
            doubts.deny(&topic, node(3));
        }
        assert_eq!(doubts.next_look(now + LOOKED_INTO), None);
        doubts.deny(&topic, node(2));
        assert_eq!(doubts.next_look(now), None);
        // A claim with another number of partitions is another claim.
        assert!(!doubts.believes(&topic, Claim::Smaller(2), from(1, now)));
        assert!(!doubts.believes(&topic, Claim::Smaller(1), from(2, now)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_is_gone_when_it_is_missing_for_some_seconds() {
        let (topic, start) = (TopicName::from("orders"), Instant::now());
        let mut doubts = Doubts::default();
        let alone = Source {
            alone: true,
            ..from(1, start)
        };
        assert!(!doubts.believes(&topic, Claim::Gone, alone));
        assert_eq!(doubts.next_look(start), Some(start + GONE_AFTER));
        let early = start + GONE_AFTER / 2;
        assert!(!doubts.believes(&topic, Claim::Gone, from(2, early)));
        let late = start + GONE_AFTER;
        assert!(doubts.believes(&topic, Claim::Gone, from(1, late)));
        assert!(!doubts.believes(&topic, Claim::Gone, alone));
        doubts.deny(&topic, node(2));
        assert_eq!(doubts.next_look(start), None, "somebody knows it");
    }
}
