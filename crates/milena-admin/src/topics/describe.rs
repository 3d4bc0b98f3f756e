//! The verbs over topics: create, delete, list, describe.

use milena_core::{Error, ErrorCode, LeaderEpoch, NodeId, Partition, Result, TopicName};
use milena_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use milena_protocol::messages::delete_topics_request::DeleteTopicState;
use milena_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use milena_protocol::messages::{
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};

use super::types::{CreatedTopic, NewTopic, PartitionDescription, TopicDescription, TopicListing};
use crate::PerItem;
use crate::admin::{Admin, moved};
use crate::answers::{check, check_name, known_id, nodes, unanswered, wire, wire_name};

impl Admin {
    /// Creates topics. Each topic succeeds or fails separately.
    ///
    /// # Errors
    /// The call fails if no controller answers in time. An item fails with `TOPIC_ALREADY_EXISTS`,
    /// `INVALID_PARTITIONS`, `INVALID_REPLICATION_FACTOR`, `INVALID_CONFIG` and so on, with the
    /// broker's own message. It fails with [`ErrorKind::Config`](milena_core::ErrorKind::Config)
    /// for a name that Kafka does not allow, and is then not sent.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the topics may or may not be created.
    ///
    /// # References
    /// CreateTopics, api key 19, versions 2 to 7.
    pub async fn create_topics<T: Into<NewTopic>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<PerItem<TopicName, CreatedTopic>> {
        let topics = topics.into_iter().map(Into::into).collect();
        self.create(topics, false).await
    }

    /// Checks if topics could be created, without creating any (`validate_only`).
    ///
    /// # Errors
    /// The errors of [`create_topics`](Self::create_topics).
    pub async fn validate_topics<T: Into<NewTopic>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<PerItem<TopicName, CreatedTopic>> {
        let topics = topics.into_iter().map(Into::into).collect();
        self.create(topics, true).await
    }

    async fn create(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<PerItem<TopicName, CreatedTopic>> {
        let wanted: Vec<_> = topics
            .iter()
            .filter(|topic| topic.name.defect().is_none())
            .map(creatable)
            .collect();
        let mut answers = Vec::new();
        if !wanted.is_empty() {
            let request = CreateTopicsRequest::default()
                .with_topics(wanted)
                .with_timeout_ms(self.timeout_ms())
                .with_validate_only(validate_only);
            let codes = |answer: &CreateTopicsResponse| {
                answer.topics.iter().any(|topic| moved(topic.error_code))
            };
            answers = self
                .at_controller(|_| Ok(request.clone()), codes)
                .await?
                .topics;
        }
        let result = |topic: &NewTopic| {
            check_name(&topic.name)?;
            let answer = answers.iter().find(|answer| *answer.name.0 == *topic.name);
            let answer = answer.ok_or_else(|| unanswered("CreateTopics").topic(&topic.name))?;
            check(
                answer.error_code,
                answer.error_message.as_ref(),
                "CreateTopics",
            )
            .map_err(|error| error.topic(&topic.name))?;
            Ok(CreatedTopic {
                name: topic.name.clone(),
                id: known_id(answer.topic_id),
                partitions: Some(answer.num_partitions).filter(|count| *count > 0),
                replication_factor: Some(answer.replication_factor).filter(|count| *count > 0),
            })
        };
        Ok(PerItem::new(
            topics
                .iter()
                .map(|topic| (topic.name.clone(), result(topic)))
                .collect(),
        ))
    }

    /// Deletes topics with all their records. Each topic succeeds or fails separately.
    ///
    /// # Errors
    /// The call fails if no controller answers in time. An item fails with
    /// `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_DELETION_DISABLED` and so on.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the topics may or may not be deleted.
    ///
    /// # References
    /// DeleteTopics, api key 20, versions 1 to 6.
    pub async fn delete_topics<T: Into<TopicName>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<PerItem<TopicName, ()>> {
        let topics: Vec<TopicName> = topics.into_iter().map(Into::into).collect();
        if topics.is_empty() {
            return Ok(PerItem::new(Vec::new()));
        }
        let timeout = self.timeout_ms();
        let request = |version: i16| {
            let request = DeleteTopicsRequest::default().with_timeout_ms(timeout);
            if version >= 6 {
                let by_name = |name| DeleteTopicState::default().with_name(Some(wire_name(name)));
                Ok(request.with_topics(topics.iter().map(by_name).collect()))
            } else {
                Ok(request.with_topic_names(topics.iter().map(wire_name).collect()))
            }
        };
        let codes = |answer: &DeleteTopicsResponse| {
            answer.responses.iter().any(|topic| moved(topic.error_code))
        };
        let answers = self.at_controller(request, codes).await?.responses;
        let result = |topic: &TopicName| {
            let answer = answers
                .iter()
                .find(|answer| answer.name.as_ref().is_some_and(|name| *name.0 == **topic));
            let answer = answer.ok_or_else(|| unanswered("DeleteTopics").topic(topic))?;
            check(
                answer.error_code,
                answer.error_message.as_ref(),
                "DeleteTopics",
            )
            .map_err(|error| error.topic(topic))
        };
        Ok(PerItem::new(
            topics
                .iter()
                .map(|topic| (topic.clone(), result(topic)))
                .collect(),
        ))
    }

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

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assignment = |(index, replicas): (i32, &Vec<NodeId>)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index)
            .with_broker_ids(
                replicas
                    .iter()
                    .map(|node| BrokerId(node.to_wire()))
                    .collect(),
            )
    };
    let config = |(key, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(wire(key))
            .with_value(Some(wire(value)))
    };
    CreatableTopic::default()
        .with_name(wire_name(&topic.name))
        .with_num_partitions(topic.partitions.unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.unwrap_or(-1))
        .with_assignments((0..).zip(&topic.replicas).map(assignment).collect())
        .with_configs(topic.configs.iter().map(config).collect())
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
