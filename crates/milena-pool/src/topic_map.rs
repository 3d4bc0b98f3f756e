//! The topics of a metadata snapshot, by name and by id, with a mark of those in use.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::TopicName;
use uuid::Uuid;

use crate::metadata::TopicMetadata;

/// Topics by name and by id.
///
/// Invariant: `by_id` holds the id of every topic in `by_name` that has one, and no other ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicMap {
    /// The topics by name.
    by_name: HashMap<TopicName, Entry>,
    /// The name of the topic with each id.
    by_id: HashMap<Uuid, TopicName>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// The topic's metadata.
    topic: Arc<TopicMetadata>,
    /// True if the topic was looked up since [`TopicMap::take_use`] was last called for it. Shared
    /// by all snapshots with this topic.
    used: Arc<AtomicBool>,
}

impl TopicMap {
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<TopicMetadata>> + '_ {
        self.by_name.values().map(|entry| &entry.topic)
    }

    /// Returns a topic and marks it as used.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        let entry = self.by_name.get(name)?;
        // Write only if the mark is not set. The cache line then stays shared between the cores
        // that look up topics.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(&entry.topic)
    }

    /// Returns a topic without marking it as used.
    pub(crate) fn peek(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.by_name.get(name).map(|entry| &entry.topic)
    }

    /// Returns a topic by its id and marks it as used.
    pub(crate) fn by_id(&self, id: Uuid) -> Option<&Arc<TopicMetadata>> {
        self.get(self.by_id.get(&id)?)
    }

    /// Returns true if the topic was used since the last call, and removes the mark.
    pub(crate) fn take_use(&self, name: &str) -> bool {
        let entry = self.by_name.get(name);
        entry.is_some_and(|entry| entry.used.swap(false, Ordering::Relaxed))
    }

    /// Inserts a topic or replaces the one with its name. The mark of use stays.
    pub(crate) fn insert(&mut self, topic: TopicMetadata) {
        let (name, id) = (topic.name.clone(), topic.id);
        let topic = Arc::new(topic);
        let old = match self.by_name.get_mut(&name) {
            Some(entry) => std::mem::replace(&mut entry.topic, topic).id,
            None => {
                let used = Arc::default();
                self.by_name.insert(name.clone(), Entry { topic, used });
                None
            }
        };
        if old != id {
            self.forget_id(old, &name);
        }
        if let Some(id) = id {
            self.by_id.insert(id, name);
        }
    }

    /// Keeps the topics for which `is_kept` returns true. Returns the number of topics removed.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&TopicMetadata) -> bool) -> usize {
        let before = self.by_name.len();
        self.by_name.retain(|_, entry| is_kept(&entry.topic));
        let gone = before - self.by_name.len();
        if gone > 0 {
            let by_name = &self.by_name;
            self.by_id.retain(|_, name| by_name.contains_key(name));
        }
        gone
    }

    /// Removes a topic's former id.
    fn forget_id(&mut self, id: Option<Uuid>, name: &TopicName) {
        // A faulty broker may have given the id to another topic since. That entry must stay.
        if let Some(id) = id
            && self.by_id.get(&id) == Some(name)
        {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, id: u128) -> TopicMetadata {
        TopicMetadata {
            name: TopicName::from(name),
            id: (id > 0).then(|| Uuid::from_u128(id)),
            error: None,
            internal: false,
            partitions: Vec::new(),
        }
    }

    #[test]
    fn ids_follow_the_topics() {
        let mut topics = TopicMap::default();
        topics.insert(topic("orders", 1));
        topics.insert(topic("orders", 2));
        topics.insert(topic("other", 3));
        let id = Uuid::from_u128;
        assert!(topics.by_id(id(1)).is_none());
        assert_eq!(&*topics.by_id(id(2)).unwrap().name, "orders");
        assert_eq!(topics.retain(|topic| &*topic.name != "orders"), 1);
        assert!(topics.by_id(id(2)).is_none());
        assert!(topics.by_id(id(3)).is_some());
    }

    #[test]
    fn a_look_counts_as_use_and_a_glance_does_not() {
        let mut topics = TopicMap::default();
        topics.insert(topic("orders", 1));
        topics.peek("orders").unwrap();
        assert!(!topics.take_use("orders"));
        let shown_before = topics.clone();
        topics.insert(topic("orders", 2));
        shown_before.get("orders").unwrap();
        assert!(topics.take_use("orders"));
        assert!(!topics.take_use("orders"));
    }
}
