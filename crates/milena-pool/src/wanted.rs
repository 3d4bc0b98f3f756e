//! Which topics the picture of the cluster shows: those in use by name, and all while somebody reads by a pattern.

use std::collections::{BTreeSet, HashMap};
use std::sync::Weak;
use std::time::Duration;

use milena_core::TopicName;
use tokio::time::Instant;

use crate::cluster::{Cluster, Inner};

/// The topics that are asked for, and those that are to be asked for at once.
#[derive(Default)]
pub(crate) struct Wanted {
    /// How many ask for every topic of the cluster.
    all: usize,
    /// The topics by name, and when each was last of use.
    names: HashMap<TopicName, Instant>,
    /// Those to be asked for without the others, as soon as may be.
    asked: BTreeSet<TopicName>,
    /// Whether one of `asked` was never asked for: it need not wait.
    urgent: bool,
}

/// What a request for metadata is to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every topic there is.
    All,
    /// All topics that are wanted; others are of no interest.
    Wanted(BTreeSet<TopicName>),
    /// Some topics, which says nothing about the others.
    Part(BTreeSet<TopicName>),
}

impl Scope {
    /// The topics to name in the request; `None` for all.
    pub(crate) fn names(&self) -> Option<&BTreeSet<TopicName>> {
        match self {
            Self::All => None,
            Self::Wanted(names) | Self::Part(names) => Some(names),
        }
    }
}

impl Wanted {
    /// Keeps `name` in the picture. Asks for it at once when it is new, or when the picture is not `known` to show it.
    pub(crate) fn add(&mut self, name: &TopicName, known: bool, now: Instant) -> bool {
        let new = self.names.insert(name.clone(), now).is_none();
        let asks = !known && (new || self.all > 0);
        if asks && self.asked.insert(name.clone()) {
            self.urgent |= new;
        }
        asks
    }

    /// Asks for `name` again, without the others; at once when it is new.
    pub(crate) fn ask(&mut self, name: &TopicName, now: Instant) {
        self.urgent |= self.names.insert(name.clone(), now).is_none();
        self.asked.insert(name.clone());
    }

    /// Takes out what is to be asked for.
    pub(crate) fn take_asked(&mut self) -> BTreeSet<TopicName> {
        self.urgent = false;
        std::mem::take(&mut self.asked)
    }

    /// Puts back what could not be asked for.
    pub(crate) fn put_back(&mut self, names: BTreeSet<TopicName>) {
        self.asked.extend(names);
    }

    /// Whether something is to be asked for, and whether some of it was never asked for.
    pub(crate) fn pending(&self) -> Option<bool> {
        (!self.asked.is_empty()).then_some(self.urgent)
    }

    /// Forgets the topics that were of no use for [`IDLE`]; `was_used` tells which were since this was last called.
    pub(crate) fn forget_idle(&mut self, now: Instant, was_used: impl Fn(&TopicName) -> bool) {
        self.names.retain(|name, last| {
            if was_used(name) {
                *last = now;
            }
            now.saturating_duration_since(*last) < IDLE
        });
    }

    /// What a renewal of the whole picture is to bring.
    pub(crate) fn scope(&self) -> Scope {
        if self.all > 0 {
            return Scope::All;
        }
        Scope::Wanted(self.names.keys().cloned().collect())
    }
}

/// Keeps every topic of the cluster in the picture until it is dropped.
#[must_use = "the picture shows every topic only while this is held"]
pub struct AllTopics(Weak<Inner>);

impl Cluster {
    /// Keeps every topic of the cluster in the picture for as long as the result is held: for subscriptions by pattern.
    ///
    /// Asks for a renewal where nobody wanted all topics before. Each renewal brings all of them then, so that every user of this
    /// handle pays for it.
    pub fn want_all_topics(&self) -> AllTopics {
        let first = {
            let mut wanted = self.0.wanted.lock();
            wanted.all += 1;
            wanted.all == 1
        };
        if first {
            self.request_refresh();
        }
        AllTopics(std::sync::Arc::downgrade(&self.0))
    }
}

impl Drop for AllTopics {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            let mut wanted = inner.wanted.lock();
            wanted.all = wanted.all.saturating_sub(1);
        }
    }
}

impl std::fmt::Debug for AllTopics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AllTopics").finish_non_exhaustive()
    }
}

/// How long a topic that nothing looks at stays: `metadata.max.idle.ms` of Kafka's producer.
const IDLE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TopicName {
        TopicName::from(text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_is_asked_for_once_and_then_kept() {
        let (mut wanted, now) = (Wanted::default(), Instant::now());
        assert!(wanted.add(&name("orders"), false, now));
        assert_eq!(wanted.pending(), Some(true));
        assert_eq!(wanted.take_asked(), BTreeSet::from([name("orders")]));
        assert!(!wanted.add(&name("orders"), false, now));
        assert_eq!(wanted.pending(), None);
        wanted.ask(&name("orders"), now);
        assert_eq!(wanted.pending(), Some(false), "it is not new");
        let kept = BTreeSet::from([name("orders")]);
        assert_eq!(wanted.scope(), Scope::Wanted(kept));
    }

    #[tokio::test(start_paused = true)]
    async fn a_topic_without_use_is_forgotten_after_five_minutes() {
        let (mut wanted, start) = (Wanted::default(), Instant::now());
        let (busy, idle) = (name("busy"), name("idle"));
        wanted.add(&busy, false, start);
        wanted.add(&idle, false, start);
        for minutes in [2, 4] {
            let now = start + Duration::from_secs(60 * minutes);
            wanted.forget_idle(now, |name| *name == busy);
        }
        let both = BTreeSet::from([busy.clone(), idle]);
        assert_eq!(wanted.scope(), Scope::Wanted(both));
        wanted.forget_idle(start + IDLE, |_| false);
        assert_eq!(wanted.scope(), Scope::Wanted(BTreeSet::from([busy])));
    }
}
