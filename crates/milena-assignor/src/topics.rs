//! The topics of a group as an assignor sees them, with their partition counts and the racks of
//! their replicas.

use std::collections::{BTreeMap, BTreeSet};

use milena_core::{Partition, TopicName, TopicPartition};

/// Topics that the group's members subscribed to and that exist, with their partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupTopics {
    /// Racks of each partition's replicas, by topic and partition number.
    topics: BTreeMap<TopicName, Vec<BTreeSet<String>>>,
}

impl GroupTopics {
    /// Returns topics with these partition counts and no known racks.
    pub fn new<I, N>(counts: I) -> Self
    where
        I: IntoIterator<Item = (N, usize)>,
        N: Into<TopicName>,
    {
        let racks = |count| vec![BTreeSet::new(); count];
        let counts = counts.into_iter();
        Self {
            topics: counts
                .map(|(name, count)| (name.into(), racks(count)))
                .collect(),
        }
    }

    /// Adds a topic. `racks` holds the racks of each partition's replicas, and its length is the
    /// partition count.
    pub fn insert(&mut self, name: impl Into<TopicName>, racks: Vec<BTreeSet<String>>) {
        self.topics.insert(name.into(), racks);
    }

    /// Returns the topics in order of their names, each with its partition count.
    pub fn counts(&self) -> impl Iterator<Item = (&TopicName, usize)> + '_ {
        self.topics.iter().map(|(name, racks)| (name, racks.len()))
    }

    /// Returns the partition count of a topic. 0 if the topic does not exist.
    #[must_use]
    pub fn count(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, Vec::len)
    }

    /// Returns all partitions, ordered by topic and number.
    pub fn partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        let all = self.topics.iter();
        all.flat_map(|(name, racks)| (0..racks.len()).filter_map(|number| place(name, number)))
    }

    /// Returns the racks of a partition's replicas. `None` if there is no such partition.
    #[must_use]
    pub fn racks(&self, place: &TopicPartition) -> Option<&BTreeSet<String>> {
        self.topics.get(&place.topic)?.get(place.partition.index())
    }
}

/// Returns the partition with this number. `None` if the number is too large for Kafka.
pub(crate) fn place(topic: &TopicName, number: usize) -> Option<TopicPartition> {
    let partition = Partition::from_wire(i32::try_from(number).ok()?)?;
    Some(TopicPartition::new(topic, partition))
}
