//! Partitions that existed when the consumer subscribed. With `latest`, records written before that
//! are left out, and all records of partitions that appear later are read.

use std::collections::HashMap;
use std::sync::Arc;

use milena_core::{TopicName, TopicPartition};

use crate::core::Core;

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
    /// Returns true if the partition appeared after the consumer subscribed.
    pub(crate) fn is_new(&self, core: &Core, place: &TopicPartition) -> bool {
        match self.topics.get(&place.topic) {
            Some(count) => usize::try_from(place.partition.to_wire()).is_ok_and(|at| at >= *count),
            None => {
                let subscription = core.group.subscription.borrow();
                self.complete && !subscription.topics.contains(&place.topic)
            }
        }
    }
}

/// Notes the partition counts of subscribed topics that are not noted yet. Does nothing without a
/// group.
pub(crate) async fn note(core: Arc<Core>) {
    if core.settings.group.is_none() {
        return;
    }
    core.baseline.lock().complete = false;
    let subscription = core.group.subscription.borrow().clone();
    // Held to the end of this function, so that the metadata covers all topics until they are
    // noted.
    let all = subscription
        .pattern
        .is_some()
        .then(|| core.cluster.want_all_topics());
    if all.is_some() && core.cluster.refresh().await.is_err() {
        // `complete` stays false, so no partition counts as new.
        return;
    }
    for topic in &subscription.topics {
        if core.cluster.topic(topic).await.is_err() {
            return;
        }
    }
    let metadata = core.cluster.metadata();
    let mut baseline = core.baseline.lock();
    for name in subscription.resolve(&metadata) {
        if let Some(topic) = metadata.topic(&name) {
            let count = topic.partitions.len();
            baseline.topics.entry(name).or_insert(count);
        }
    }
    baseline.complete = true;
}
