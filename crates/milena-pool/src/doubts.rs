//! What one answer says against all that is known is believed when it is confirmed.
//!
//! A broker that just started, or lags behind, tells for a moment of a topic as it was, or of none. Topic ids have no order, so that an
//! answer alone does not show which of two is the newer.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use milena_core::{NodeId, TopicName};
use tokio::time::Instant;
use uuid::Uuid;

/// What an answer says of a known topic that contradicts the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The topic was deleted and made again: it has another id.
    Anew(Uuid),
    /// The topic was deleted and made again with fewer partitions, on brokers that have no ids.
    Smaller(usize),
    /// There is no such topic.
    Gone,
}

/// The claims that are neither believed nor denied yet.
#[derive(Default)]
pub(crate) struct Doubts {
    topics: HashMap<TopicName, Doubt>,
    /// When each broker answered last, as a running number.
    heard: HashMap<NodeId, u64>,
    turn: u64,
}

struct Doubt {
    claim: Claim,
    /// The brokers whose last answer says so, and those whose last answer says what is known.
    said_by: HashSet<NodeId>,
    denied_by: HashSet<NodeId>,
    /// How often it was said.
    times: u32,
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

/// The answer that is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// Who answers; `None` for a connection to a bootstrap address.
    pub(crate) node: Option<NodeId>,
    /// Whether there is no other broker that could confirm it.
    pub(crate) alone: bool,
    pub(crate) now: Instant,
}

impl Doubts {
    /// Whether `claim` about `topic` is to be believed, now that this answer makes it.
    ///
    /// That another topic took the place of a known one is believed when two brokers say so and fewer deny it, when one repeats it and
    /// none denies it, or when there is only one. That a topic is gone is believed when it is still said after some seconds, whoever says
    /// it: a cluster that restarts has brokers that all know of nothing for a moment.
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

    /// An answer said of `topic` what is known. A claim of which nobody's last answer is left is denied.
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

    /// Ends the claims about a topic that is known to be another one now.
    pub(crate) fn settle(&mut self, topic: &TopicName) {
        self.topics.remove(topic);
    }

    /// Notes that a broker has answered, and forgets the claims about topics that are of no interest.
    pub(crate) fn hear(&mut self, node: Option<NodeId>, is_known: impl Fn(&TopicName) -> bool) {
        self.topics.retain(|topic, _| is_known(topic));
        if let Some(node) = node {
            self.turn += 1;
            self.heard.insert(node, self.turn);
        }
    }

    /// When to ask again so that what is claimed can be confirmed; `None` while nothing is.
    pub(crate) fn next_look(&self, now: Instant) -> Option<Instant> {
        let looks = self.topics.values().filter_map(|doubt| match doubt.claim {
            Claim::Gone => Some(doubt.since + GONE_AFTER),
            // One broker that lags for long is no reason to ask all the time.
            Claim::Anew(_) | Claim::Smaller(_) => {
                (now < doubt.since + LOOKED_INTO).then_some(doubt.since)
            }
        });
        looks.min()
    }

    /// Whether something is claimed that another broker may confirm or deny.
    pub(crate) fn are_open(&self) -> bool {
        !self.topics.is_empty()
    }

    /// Whether another answer would help at once.
    pub(crate) fn want_a_witness(&self) -> bool {
        let mut doubts = self.topics.values();
        doubts.any(|doubt| doubt.claim != Claim::Gone)
    }

    /// When a broker answered last, to ask those first that were not heard for longest.
    pub(crate) fn turn_of(&self, node: NodeId) -> u64 {
        self.heard.get(&node).copied().unwrap_or(0)
    }
}

/// How long a topic must be missing until it counts as deleted.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// For how long answers are asked for to confirm that a topic is another one.
const LOOKED_INTO: Duration = Duration::from_secs(30);
/// How often one broker must say so where no other can be asked.
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
        // Another number of partitions is another claim.
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
