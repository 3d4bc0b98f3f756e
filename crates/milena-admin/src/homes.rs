//! The broker of each item: the leader of its partition or the coordinator of its group.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;
use milena_core::{
    Error, ErrorCode, LeaderEpoch, NodeId, Partition, Result, TopicName, TopicPartition,
};
use milena_pool::CoordinatorKey;
use milena_protocol::hints::LeaderHint;
use milena_protocol::messages::MetadataResponse;

use crate::admin::Admin;
use crate::shard::late;

/// The kind of broker that handles an item.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Home {
    /// The leader of this partition.
    Leader(TopicPartition),
    /// The coordinator of this group.
    Coordinator(Arc<str>),
}

impl Admin {
    /// Returns the broker of each home, in the order of `homes`.
    pub(crate) async fn find(&self, homes: &[Home]) -> Vec<Result<NodeId>> {
        let leaders = self.leaders(homes).await;
        let mut coordinators: HashMap<&Arc<str>, Result<NodeId>> = HashMap::new();
        let mut groups: Vec<&Arc<str>> = homes
            .iter()
            .filter_map(|home| match home {
                Home::Coordinator(group) => Some(group),
                Home::Leader(_) => None,
            })
            .collect();
        groups.sort();
        groups.dedup();
        for some in groups.chunks(LOOKUPS_AT_ONCE) {
            let found = some.iter().map(|group| async move {
                let key = CoordinatorKey::group(Arc::clone(group));
                (*group, self.cluster.coordinator(&key).await)
            });
            coordinators.extend(join_all(found).await);
        }
        homes
            .iter()
            .map(|home| match home {
                Home::Coordinator(group) => coordinators
                    .get(group)
                    .cloned()
                    .unwrap_or_else(|| Err(late())),
                Home::Leader(place) => match &leaders {
                    Ok(leaders) => leaders
                        .get(&place.topic)
                        .map_or_else(|| Err(unknown(place)), |topic| topic.leader(place)),
                    Err(error) => Err(error.clone()),
                },
            })
            .collect()
    }

    /// Returns the leaders of all partitions of the topics in `homes`.
    async fn leaders(&self, homes: &[Home]) -> Result<HashMap<TopicName, Leaders>> {
        let mut topics: Vec<TopicName> = homes
            .iter()
            .filter_map(|home| match home {
                Home::Leader(place) if place.topic.defect().is_none() => Some(place.topic.clone()),
                _ => None,
            })
            .collect();
        topics.sort();
        topics.dedup();
        if topics.is_empty() {
            return Ok(HashMap::new());
        }
        // The cluster's metadata then follows these topics. So a request to a leader ends as soon
        // as another broker is known to lead.
        self.cluster.want_topics(topics.iter().cloned());
        let answer = self.metadata(Some(&topics)).await?;
        self.cluster.learn_leaders(hints(&answer), &[]);
        let told = answer.topics.into_iter().filter_map(|topic| {
            let name = TopicName::from(topic.name.as_ref()?.0.as_str());
            let partitions = topic.partitions.iter().filter_map(|each| {
                let partition = Partition::from_wire(each.partition_index)?;
                Some((partition, NodeId::from_wire(each.leader_id.0)))
            });
            let leaders = Leaders {
                error: ErrorCode::from_wire(topic.error_code),
                partitions: partitions.collect(),
            };
            Some((name, leaders))
        });
        Ok(told.collect())
    }

    /// Makes the next attempt look these homes up again.
    pub(crate) fn forget(&self, homes: impl Iterator<Item = Home>) {
        let mut topics = Vec::new();
        for home in homes {
            match home {
                Home::Coordinator(group) => {
                    let key = CoordinatorKey::group(group);
                    self.cluster.forget_coordinator(&key);
                }
                Home::Leader(place) => topics.push(place.topic),
            }
        }
        topics.sort();
        topics.dedup();
        if topics.is_empty() {
            self.cluster.request_refresh();
        } else {
            self.cluster.request_topics(topics);
        }
    }
}

/// Returns the leaders that an answer names, each with its epoch.
fn hints(answer: &MetadataResponse) -> Vec<(TopicPartition, LeaderHint)> {
    let topics = answer.topics.iter().filter_map(|topic| {
        let name = TopicName::from(topic.name.as_ref()?.0.as_str());
        Some((name, &topic.partitions))
    });
    let hints = topics.flat_map(|(name, partitions)| {
        partitions.iter().filter_map(move |each| {
            let partition = Partition::from_wire(each.partition_index)?;
            let node = NodeId::from_wire(each.leader_id.0)?;
            let epoch = LeaderEpoch::from_wire(each.leader_epoch)?;
            let place = TopicPartition::new(name.clone(), partition);
            Some((place, LeaderHint { node, epoch }))
        })
    });
    hints.collect()
}

/// The leaders of a topic's partitions.
struct Leaders {
    /// The topic's error. `None` if there is none.
    error: Option<ErrorCode>,
    /// The leader of each partition. `None` while a partition has no leader.
    partitions: HashMap<Partition, Option<NodeId>>,
}

impl Leaders {
    /// Returns the leader of one partition.
    fn leader(&self, place: &TopicPartition) -> Result<NodeId> {
        if let Some(code) = self.error {
            return Err(Error::broker(code).topic(&place.topic));
        }
        match self.partitions.get(&place.partition) {
            Some(Some(node)) => Ok(*node),
            Some(None) => Err(Error::broker(ErrorCode::LEADER_NOT_AVAILABLE).at(place)),
            None => Err(unknown(place)),
        }
    }
}

/// Creates the error for a partition that the topic does not have.
fn unknown(place: &TopicPartition) -> Error {
    Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION).at(place)
}

/// The most coordinators that are looked up at the same time.
const LOOKUPS_AT_ONCE: usize = 16;
