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
        if let Some(id) = asked.entry.topic_id {
            self.names.entry(id).or_insert_with(|| place.topic.clone());
        }
        self.len += 1;
        self.at_leader_only += usize::from(!asked.names_rack);
        self.one_batch_each += asked.one_batch.unwrap_or(0) as usize;
        let (is_unread, is_alone) = (asked.one_batch.is_none(), asked.is_alone);
        let topic = self.topics.entry(place.topic.clone()).or_default();
        if let Some(before) = topic.insert(place.partition, asked) {
            self.take_off(&place, &before);
        }
        if is_unread {
            self.unread.insert(place.clone());
        }
        if is_alone {
            self.alone.insert(place);
        }
    }

    /// Removes a partition. Leaves one that is assigned now at the same place. Returns true if it
    /// was removed.
    pub(super) fn remove(&mut self, partition: &Arc<Partition>) -> bool {
        let place = partition.place();
        let Some(topic) = self.topics.get_mut(&place.topic) else {
            return false;
        };
        let known = topic.get(&place.partition);
        if !known.is_some_and(|known| Arc::ptr_eq(partition, &known.partition)) {
            return false;
        }
        let gone = topic.remove(&place.partition);
        if topic.is_empty() {
            self.topics.remove(&place.topic);
        }
        if let Some(asked) = gone {
            self.take_off(place, &asked);
        }
        true
    }

    /// Takes an entry that was removed or replaced off the sums and lists.
    fn take_off(&mut self, place: &TopicPartition, asked: &Asked) {
        self.len -= 1;
        self.at_leader_only -= usize::from(!asked.names_rack);
        self.one_batch_each -= asked.one_batch.unwrap_or(0) as usize;
        self.unread.remove(place);
        self.alone.remove(place);
        // The id of a topic that is gone, or that was created again.
        if let Some(id) = asked.entry.topic_id {
            let topic = self.topics.get(&place.topic);
            let next = topic.and_then(|topic| topic.values().next());
            if next.is_none_or(|next| next.entry.topic_id != Some(id)) {
                self.names.remove(&id);
            }
        }
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

#[cfg(test)]
mod tests {
    use milena_core::NodeId;
    use milena_protocol::fetch::FetchPartition;

    use super::*;
    use crate::partition::{FetchFrom, Wish};
    use crate::wakes::Wakes;

    fn partition(number: u32) -> Arc<Partition> {
        let place = TopicPartition::new("orders", number);
        let wakes = Wakes::default().of_partition();
        Partition::new(place, FetchFrom::At(0_u32.into()), wakes)
    }

    fn asked(partition: &Arc<Partition>, id: u128, one_batch: Option<u32>) -> Asked {
        let place = partition.place();
        Asked {
            node: NodeId::from_wire(1).unwrap(),
            partition: Arc::clone(partition),
            entry: FetchPartition {
                topic: place.topic.clone(),
                topic_id: Some(Uuid::from_u128(id)),
                partition: place.partition,
                offset: 0_u32.into(),
                leader_epoch: None,
                last_fetched_epoch: None,
                max_bytes: 100,
            },
            wish: Wish {
                offset: 0_u32.into(),
                turn: 0,
                last_epoch: None,
                largest_batch: 0,
                is_empty: one_batch.is_some(),
            },
            at_leader: true,
            names_rack: one_batch.is_some(),
            is_alone: one_batch.is_none(),
            one_batch,
        }
    }

    #[test]
    fn sums_and_lists_follow_entries_that_come_change_and_go() {
        let (first, second) = (partition(0), partition(1));
        let mut set = FetchSet::default();
        set.put(asked(&first, 1, Some(60)));
        set.put(asked(&second, 1, Some(40)));
        assert_eq!((set.len(), set.one_batch_each()), (2, 100));
        set.put(asked(&first, 1, None));
        assert_eq!((set.len(), set.one_batch_each()), (2, 40));
        assert_eq!((set.unread().len(), set.alone().len()), (1, 1));
        assert!(!set.names_rack());
        assert!(set.remove(&first) && !set.remove(&first));
        assert_eq!((set.len(), set.one_batch_each()), (1, 40));
        assert!(set.unread().is_empty() && set.alone().is_empty() && set.names_rack());
        assert!(set.remove(&second) && set.is_empty());
    }

    #[test]
    fn a_partition_that_is_assigned_again_is_not_removed_with_its_predecessor() {
        let (before, again) = (partition(0), partition(0));
        let mut set = FetchSet::default();
        set.put(asked(&before, 1, Some(60)));
        set.put(asked(&again, 1, Some(60)));
        assert!(!set.remove(&before));
        assert_eq!((set.len(), set.one_batch_each()), (1, 60));
        assert!(set.remove(&again));
    }

    #[test]
    fn ids_of_topics_that_are_gone_or_were_created_again_are_forgotten() {
        let only = partition(0);
        let mut set = FetchSet::default();
        set.put(asked(&only, 1, Some(60)));
        set.put(asked(&only, 1, Some(50)));
        assert_eq!(set.names.len(), 1);
        set.put(asked(&only, 2, Some(50)));
        assert_eq!(set.names.keys().collect::<Vec<_>>(), [&Uuid::from_u128(2)]);
        set.remove(&only);
        assert!(set.names.is_empty());
    }
}
