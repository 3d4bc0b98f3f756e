//! The partitions that one broker is asked for. They stand from one fetch to the next, so that a
//! fetch costs what changed and not what is assigned.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use milena_core::{Partition as Number, TopicName, TopicPartition};
use milena_protocol::fetch::FetchedPartition;
use milena_protocol::hints::TopicRef;
use uuid::Uuid;

use super::asked::Asked;
use crate::partition::Partition;

/// Partitions to ask one broker for, with the sums that its next request needs.
#[derive(Default)]
pub(super) struct FetchSet {
    /// The partitions, by topic and number.
    topics: BTreeMap<TopicName, BTreeMap<Number, Asked>>,
    /// Topics by id, for answers that carry ids (KIP-516). The id of a topic that was created again
    /// may still be here. The entry in `topics` has the id that counts.
    names: HashMap<Uuid, TopicName>,
    /// Number of partitions.
    len: usize,
    /// Sum of `one_batch` of all partitions.
    one_batch_each: usize,
    /// Partitions with records that wait to be read. They are left out while memory is short.
    unread: BTreeSet<TopicPartition>,
    /// Partitions that must not share a request with others.
    alone: BTreeSet<TopicPartition>,
    /// Number of partitions whose leader must not name a nearer replica.
    at_leader_only: usize,
}

impl FetchSet {
    /// Adds a partition, or replaces its entry.
    pub(super) fn put(&mut self, asked: Asked) {
        let place = asked.partition.place().clone();
        self.remove(&place, None);
        if let Some(id) = asked.entry.topic_id {
            self.names.entry(id).or_insert_with(|| place.topic.clone());
        }
        self.len += 1;
        self.at_leader_only += usize::from(!asked.names_rack);
        match asked.one_batch {
            Some(bytes) => self.one_batch_each += bytes as usize,
            None => drop(self.unread.insert(place.clone())),
        }
        if asked.is_alone {
            self.alone.insert(place.clone());
        }
        let topic = self.topics.entry(place.topic).or_default();
        topic.insert(place.partition, asked);
    }

    /// Removes the partition at `place`. Leaves it if it is another than `only`, which a later
    /// assignment of the same place is. Returns true if it was removed.
    pub(super) fn remove(&mut self, place: &TopicPartition, only: Option<&Arc<Partition>>) -> bool {
        let Some(topic) = self.topics.get_mut(&place.topic) else {
            return false;
        };
        let is_it = |asked: &Asked| only.is_none_or(|only| Arc::ptr_eq(only, &asked.partition));
        if !topic.get(&place.partition).is_some_and(is_it) {
            return false;
        }
        let gone = topic.remove(&place.partition);
        if topic.is_empty() {
            self.topics.remove(&place.topic);
            self.names.retain(|_, name| *name != place.topic);
        }
        if let Some(asked) = gone {
            self.len -= 1;
            self.at_leader_only -= usize::from(!asked.names_rack);
            self.one_batch_each -= asked.one_batch.unwrap_or(0) as usize;
            self.unread.remove(place);
            self.alone.remove(place);
        }
        true
    }

    /// Returns the partition of an answer's entry. `None` if it was not asked for.
    pub(super) fn find(&self, entry: &FetchedPartition<'_>) -> Option<&Asked> {
        let topic = match entry.topic {
            TopicRef::Name(name) => self.topics.get(name)?,
            TopicRef::Id(id) => self.topics.get(self.names.get(&id)?)?,
        };
        let asked = topic.get(&entry.partition)?;
        let is_it = entry.topic.is(&asked.entry.topic, asked.entry.topic_id);
        is_it.then_some(asked)
    }

    /// Returns a partition.
    pub(super) fn get(&self, place: &TopicPartition) -> Option<&Asked> {
        self.topics.get(&place.topic)?.get(&place.partition)
    }

    /// Returns all partitions, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Asked> {
        self.topics.values().flat_map(BTreeMap::values)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the bytes of one batch of each partition that holds none.
    pub(super) fn one_batch_each(&self) -> usize {
        self.one_batch_each
    }

    /// Returns the partitions with records that wait to be read.
    pub(super) fn unread(&self) -> &BTreeSet<TopicPartition> {
        &self.unread
    }

    /// Returns the partitions that must not share a request with others.
    pub(super) fn alone(&self) -> &BTreeSet<TopicPartition> {
        &self.alone
    }

    /// Returns true if the broker may name nearer replicas.
    pub(super) fn names_rack(&self) -> bool {
        self.at_leader_only == 0
    }
}
