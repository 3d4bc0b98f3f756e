//! The topics of a picture, by name and by id, and which of them somebody looks at.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::TopicName;
use uuid::Uuid;

use crate::metadata::TopicMetadata;

/// Topics by name and by id.
///
/// Invariant: `by_id` leads to the name of each topic in `by_name` that has an id, and to nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicMap {
    by_name: HashMap<TopicName, Entry>,
    by_id: HashMap<Uuid, TopicName>,
}

#[derive(Clone, Debug)]
struct Entry {
    topic: Arc<TopicMetadata>,
    /// Whether it was looked up since the mark was last taken; shared by all pictures that show the topic.
    used: Arc<AtomicBool>,
}

impl TopicMap {
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<TopicMetadata>> + '_ {
        self.by_name.values().map(|entry| &entry.topic)
    }

    /// A topic, which counts as used from now on.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        let entry = self.by_name.get(name)?;
        // Read first: the line stays shared between the cores that look topics up.
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(&entry.topic)
    }

    /// A topic, without a mark of use.
    pub(crate) fn peek(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.by_name.get(name).map(|entry| &entry.topic)
    }

    /// A topic by its id, which counts as used from now on.
    pub(crate) fn by_id(&self, id: Uuid) -> Option<&Arc<TopicMetadata>> {
        self.get(self.by_id.get(&id)?)
    }

    /// Whether the topic was used since this was last asked.
    pub(crate) fn take_use(&self, name: &str) -> bool {
        let entry = self.by_name.get(name);
        entry.is_some_and(|entry| entry.used.swap(false, Ordering::Relaxed))
    }

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

    /// Keeps the topics that `is_kept` says; returns how many went.
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

    fn forget_id(&mut self, id: Option<Uuid>, name: &TopicName) {
        // Another topic may have been given the id since, by a broker that errs.
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
