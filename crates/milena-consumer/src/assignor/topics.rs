//! The topics of a group as an assignor sees them: how many partitions each has, and in which racks they are kept.

use std::collections::{BTreeMap, BTreeSet};

use milena_core::{Partition, TopicName, TopicPartition};

/// The topics that the group's members subscribed to and that exist, with their partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupTopics {
    /// For each partition the racks of its replicas.
    topics: BTreeMap<TopicName, Vec<BTreeSet<String>>>,
}

impl GroupTopics {
    /// Topics with so many partitions each, kept in no known rack.
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

    /// Adds a topic, with the racks of each partition's replicas.
    pub fn insert(&mut self, name: impl Into<TopicName>, racks: Vec<BTreeSet<String>>) {
        self.topics.insert(name.into(), racks);
    }

    /// The topics by name, each with its partition count.
    pub fn counts(&self) -> impl Iterator<Item = (&TopicName, usize)> + '_ {
        self.topics.iter().map(|(name, racks)| (name, racks.len()))
    }

    /// The partition count of a topic; 0 where it does not exist.
    #[must_use]
    pub fn count(&self, topic: &str) -> usize {
        self.topics.get(topic).map_or(0, Vec::len)
    }

    /// All partitions, by topic and number.
    pub fn partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        let all = self.topics.iter();
        all.flat_map(|(name, racks)| (0..racks.len()).filter_map(|number| place(name, number)))
    }

    /// The racks of a partition's replicas; `None` where there is no such partition.
    #[must_use]
    pub fn racks(&self, place: &TopicPartition) -> Option<&BTreeSet<String>> {
        self.topics.get(&place.topic)?.get(place.partition.index())
    }
}

/// The partition with this number.
pub(super) fn place(topic: &TopicName, number: usize) -> Option<TopicPartition> {
    let partition = Partition::from_wire(i32::try_from(number).ok()?)?;
    Some(TopicPartition::new(topic, partition))
}
