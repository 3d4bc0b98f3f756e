//! Which partitions were there when the consumer began: "latest" leaves out what was written before, and nothing of what came after.

use std::collections::HashMap;
use std::sync::Arc;

use milena_core::{TopicName, TopicPartition};

use crate::core::Core;

/// How many partitions each topic had when it was subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    topics: HashMap<TopicName, usize>,
    /// All topics of the subscription are noted, those of its pattern too.
    complete: bool,
}

impl Baseline {
    /// Whether the partition appeared after the consumer began.
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

/// Notes the topics of the subscription that are not noted yet.
pub(crate) async fn note(core: Arc<Core>) {
    if core.settings.group.is_none() {
        return;
    }
    core.baseline.lock().complete = false;
    let subscription = core.group.subscription.borrow().clone();
    // Held until all are noted.
    let all = subscription
        .pattern
        .is_some()
        .then(|| core.cluster.want_all_topics());
    if all.is_some() && core.cluster.refresh().await.is_err() {
        // What is not known to be new is treated as if it had been there.
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
