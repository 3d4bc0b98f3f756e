//! The topics that metadata requests ask for: topics in use, or all topics for patterns.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use milena_core::TopicName;
use tokio::time::Instant;

/// The topics to keep in the metadata, and the topics to ask for as soon as possible.
#[derive(Default)]
pub(crate) struct Wanted {
    /// Number of users that need every topic of the cluster.
    all: usize,
    /// The topics to keep, with the time at which each was last used.
    names: HashMap<TopicName, Instant>,
    /// Topics to ask for soon, in a request of their own.
    asked: BTreeSet<TopicName>,
    /// True if one of `asked` is new. It is then asked for without waiting for a backoff.
    urgent: bool,
}

/// The topics that a metadata request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every topic of the cluster.
    All,
    /// All topics in use. Other topics leave the metadata.
    Wanted(BTreeSet<TopicName>),
    /// Some topics. Other topics stay as they are.
    Part(BTreeSet<TopicName>),
}

impl Scope {
    /// Returns the topics to name in the request. `None` for all topics.
    pub(crate) fn names(&self) -> Option<&BTreeSet<TopicName>> {
        match self {
            Self::All => None,
            Self::Wanted(names) | Self::Part(names) => Some(names),
        }
    }
}

impl Wanted {
    /// Keeps every topic of the cluster in the metadata, for one more user. Returns true if no user
    /// needed them before.
    pub(crate) fn add_all(&mut self) -> bool {
        self.all += 1;
        self.all == 1
    }

    /// Notes that one user does not need every topic any more.
    pub(crate) fn remove_all(&mut self) {
        self.all = self.all.saturating_sub(1);
    }

    /// Keeps `name` in the metadata. Returns true if the topic must be asked for now.
    ///
    /// That is the case for a new topic, unless the metadata has it already (`known`). While all
    /// topics are wanted, it is also the case for an old topic that the metadata does not have.
    pub(crate) fn add(&mut self, name: &TopicName, known: bool, now: Instant) -> bool {
        let new = self.names.insert(name.clone(), now).is_none();
        let asks = !known && (new || self.all > 0);
        if asks && self.asked.insert(name.clone()) {
            self.urgent |= new;
        }
        asks
    }

    /// Asks for `name` in the next request for single topics. A new topic is asked for without
    /// waiting.
    pub(crate) fn ask(&mut self, name: &TopicName, now: Instant) {
        self.urgent |= self.names.insert(name.clone(), now).is_none();
        self.asked.insert(name.clone());
    }

    /// Takes out the topics to ask for.
    pub(crate) fn take_asked(&mut self) -> BTreeSet<TopicName> {
        self.urgent = false;
        std::mem::take(&mut self.asked)
    }

    /// Puts back topics after a request for them failed.
    pub(crate) fn put_back(&mut self, names: BTreeSet<TopicName>) {
        self.asked.extend(names);
    }

    /// Returns `Some` if there are topics to ask for. It holds true if one of them is new.
    pub(crate) fn pending(&self) -> Option<bool> {
        (!self.asked.is_empty()).then_some(self.urgent)
    }

    /// Removes topics that were not used for `idle`. `was_used` returns true for a topic that was
    /// used since the last call.
    pub(crate) fn forget_idle(
        &mut self,
        idle: Duration,
        now: Instant,
        was_used: impl Fn(&TopicName) -> bool,
    ) {
        self.names.retain(|name, last| {
            if was_used(name) {
                *last = now;
            }
            now.saturating_duration_since(*last) < idle
        });
    }

    /// Returns the topics that a refresh of the whole metadata asks for.
    pub(crate) fn scope(&self) -> Scope {
        if self.all > 0 {
            return Scope::All;
        }
        Scope::Wanted(self.names.keys().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(300);

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
            wanted.forget_idle(IDLE, now, |name| *name == busy);
        }
        let both = BTreeSet::from([busy.clone(), idle]);
        assert_eq!(wanted.scope(), Scope::Wanted(both));
        wanted.forget_idle(IDLE, start + IDLE, |_| false);
        assert_eq!(wanted.scope(), Scope::Wanted(BTreeSet::from([busy])));
    }
}
