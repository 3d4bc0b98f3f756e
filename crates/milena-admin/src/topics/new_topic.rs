//! New topics, and the verbs that create and delete topics.

use std::collections::BTreeMap;

use milena_core::{NodeId, Result, TopicName};
use milena_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use milena_protocol::messages::delete_topics_request::DeleteTopicState;
use milena_protocol::messages::{
    BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use uuid::Uuid;

use crate::PerItem;
use crate::admin::{Admin, moved};
use crate::answers::{check, check_name, known_id, unanswered, wire, wire_name};

/// A topic to create.
///
/// ```
/// # use milena_admin::NewTopic;
/// let topic = NewTopic::new("orders")
///     .partitions(12)
///     .replication_factor(3)
///     .config("retention.ms", "86400000");
/// # let _ = topic;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// The topic's name.
    pub(crate) name: TopicName,
    /// The number of partitions. `None` leaves it to the cluster.
    pub(crate) partitions: Option<i32>,
    /// The number of replicas. `None` leaves it to the cluster.
    pub(crate) replication_factor: Option<i16>,
    /// The brokers of each partition, preferred leader first. Empty lets the cluster choose.
    pub(crate) replicas: Vec<Vec<NodeId>>,
    /// The topic's configs, by Kafka's key.
    pub(crate) configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// Creates a topic with the cluster's default number of partitions and replicas
    /// (`num.partitions`, `default.replication.factor`, KIP-464).
    pub fn new(name: impl Into<TopicName>) -> Self {
        Self {
            name: name.into(),
            partitions: None,
            replication_factor: None,
            replicas: Vec::new(),
            configs: BTreeMap::new(),
        }
    }

    /// Sets the number of partitions, at least 1. Default is the cluster's `num.partitions`.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// Sets the number of replicas of each partition, at least 1. Default is the cluster's
    /// `default.replication.factor`.
    #[must_use]
    pub fn replication_factor(mut self, replicas: i16) -> Self {
        self.replication_factor = Some(replicas);
        self
    }

    /// Sets the brokers of each partition, in the order of the partitions and with the preferred
    /// leader first. By default the cluster chooses.
    ///
    /// This also sets the number of partitions and replicas, and replaces
    /// [`partitions`](Self::partitions) and [`replication_factor`](Self::replication_factor).
    #[must_use]
    pub fn replicas<I>(mut self, partitions: I) -> Self
    where
        I: IntoIterator,
        I::Item: IntoIterator<Item = NodeId>,
    {
        let lists = partitions.into_iter();
        self.replicas = lists.map(|nodes| nodes.into_iter().collect()).collect();
        self.partitions = None;
        self.replication_factor = None;
        self
    }

    /// Returns the topic's name.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// Sets a topic config by Kafka's key, such as `cleanup.policy`.
    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(key.into(), value.into());
        self
    }
}

impl<T: Into<TopicName>> From<T> for NewTopic {
    fn from(name: T) -> Self {
        Self::new(name)
    }
}

/// A topic that was created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedTopic {
    /// The topic's name.
    pub name: TopicName,
    /// The topic's id. `None` if the broker has no topic ids (before Kafka 2.8).
    pub id: Option<Uuid>,
    /// The number of partitions. `None` if the broker does not say (before Kafka 2.4).
    pub partitions: Option<i32>,
    /// The number of replicas of each partition. `None` if the broker does not say.
    pub replication_factor: Option<i16>,
}

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
