//! Partitions that existed when the consumer subscribed. With `latest`, records written before that
//! are left out, and all records of partitions that appear later are read.

use std::collections::HashMap;

use milena_core::{TopicName, TopicPartition};
use milena_pool::Metadata;

use crate::group::subscription::Subscription;

/// The number of partitions that each topic had when it was subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    /// Partition counts of the topics noted so far. A count never changes once it is noted.
    topics: HashMap<TopicName, usize>,
    /// True once all topics of the subscription are noted, including those of its pattern. A topic
    /// that is missing then is new, unless it was subscribed to by name.
    complete: bool,
}

impl Baseline {
    /// Begins to note a subscription. No partition counts as new until all topics are noted.
    pub(crate) fn begin(&mut self) {
        self.complete = false;
    }

    /// Notes the partition counts of those topics of the subscription that are not noted yet.
    pub(crate) fn note(&mut self, subscription: &Subscription, metadata: &Metadata) {
        for name in subscription.resolve(metadata) {
            if let Some(topic) = metadata.topic(&name) {
                let count = topic.partitions.len();
                self.topics.entry(name).or_insert(count);
            }
        }
        self.complete = true;
    }

    /// Returns true if the partition appeared after the consumer subscribed.
    pub(crate) fn is_new(&self, subscription: &Subscription, place: &TopicPartition) -> bool {
        match self.topics.get(&place.topic) {
            Some(count) => usize::try_from(place.partition.to_wire()).is_ok_and(|at| at >= *count),
            None => self.complete && !subscription.topics.contains(&place.topic),
        }
    }
}
