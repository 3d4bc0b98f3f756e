//! Topics of a cluster, and the verbs that list and describe them.

use milena_core::{Error, ErrorCode, LeaderEpoch, NodeId, Partition, Result, TopicName};
use milena_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use uuid::Uuid;

use crate::PerItem;
use crate::admin::Admin;
use crate::answers::{check, check_name, known_id, nodes, unanswered};

/// A topic in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicListing {
    /// The topic's name.
    pub name: TopicName,
    /// The topic's id. `None` if the broker has no topic ids.
    pub id: Option<Uuid>,
    /// The number of partitions. 0 if the broker could not say.
    pub partitions: usize,
    /// True for a topic that Kafka uses internally, such as `__consumer_offsets`.
    pub internal: bool,
    /// The reason why the broker knows only the topic's name. `None` for a topic without error.
    pub error: Option<ErrorCode>,
}

/// A topic and its partitions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicDescription {
    /// The topic's name.
    pub name: TopicName,
    /// The topic's id. `None` if the broker has no topic ids.
    pub id: Option<Uuid>,
    /// True for a topic that Kafka uses internally.
    pub internal: bool,
    /// The partitions, in ascending order.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition and its replicas.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// The partition's number.
    pub partition: Partition,
    /// The leader. `None` while there is none.
    pub leader: Option<NodeId>,
    /// The leader's epoch. `None` if the broker did not send it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The brokers with a replica, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The brokers with a replica that is in sync.
    pub in_sync: Vec<NodeId>,
    /// The brokers with a replica that is offline.
    pub offline: Vec<NodeId>,
    /// The broker's error for this partition, such as `LEADER_NOT_AVAILABLE`. `None` if there is
    /// none.
    pub error: Option<Error>,
}

impl Admin {
    /// Lists all topics that this client may see, sorted by name. Topics that Kafka uses internally
    /// are included and marked `internal`.
    ///
    /// # Errors
    /// The call fails if no broker answers in time.
    ///
    /// # References
    /// Metadata, api key 3.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>> {
        let answer = self.metadata(None).await?;
        let mut topics: Vec<_> = answer
            .topics
            .iter()
            .filter_map(|topic| {
                Some(TopicListing {
                    name: TopicName::from(topic.name.as_ref()?.0.as_str()),
                    id: known_id(topic.topic_id),
                    partitions: topic.partitions.len(),
                    internal: topic.is_internal,
                    error: ErrorCode::from_wire(topic.error_code),
                })
            })
            .collect();
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    /// Describes topics with their partitions, leaders and replicas. Each topic succeeds or fails
    /// separately.
    ///
    /// # Errors
    /// The call fails if no broker answers in time. An item fails with `UNKNOWN_TOPIC_OR_PARTITION`
    /// and so on.
    ///
    /// # References
    /// Metadata, api key 3.
    pub async fn describe_topics<T: Into<TopicName>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<PerItem<TopicName, TopicDescription>> {
        let topics: Vec<TopicName> = topics.into_iter().map(Into::into).collect();
        let legal: Vec<_> = topics
            .iter()
            .filter(|name| name.defect().is_none())
            .cloned()
            .collect();
        let mut answers = Vec::new();
        if !legal.is_empty() {
            answers = self.metadata(Some(&legal)).await?.topics;
        }
        let result = |topic: &TopicName| {
            check_name(topic)?;
            let answer = answers
                .iter()
                .find(|answer| answer.name.as_ref().is_some_and(|name| *name.0 == **topic));
            let answer = answer.ok_or_else(|| unanswered("Metadata").topic(topic))?;
            check(answer.error_code, None, "Metadata").map_err(|error| error.topic(topic))?;
            Ok(described(topic, answer))
        };
        Ok(PerItem::new(
            topics
                .iter()
                .map(|topic| (topic.clone(), result(topic)))
                .collect(),
        ))
    }
}

fn described(name: &TopicName, answer: &MetadataResponseTopic) -> TopicDescription {
    let partition = |answer: &MetadataResponsePartition| {
        let partition = Partition::from_wire(answer.partition_index)?;
        Some(PartitionDescription {
            partition,
            leader: NodeId::from_wire(answer.leader_id.0),
            leader_epoch: LeaderEpoch::from_wire(answer.leader_epoch),
            replicas: nodes(&answer.replica_nodes),
            in_sync: nodes(&answer.isr_nodes),
            offline: nodes(&answer.offline_replicas),
            error: ErrorCode::from_wire(answer.error_code)
                .map(|code| Error::broker(code).topic(name).partition(partition)),
        })
    };
    let mut partitions: Vec<_> = answer.partitions.iter().filter_map(partition).collect();
    partitions.sort_by_key(|partition| partition.partition);
    TopicDescription {
        name: name.clone(),
        id: known_id(answer.topic_id),
        internal: answer.is_internal,
        partitions,
    }
}
