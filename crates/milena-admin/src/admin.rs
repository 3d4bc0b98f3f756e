//! The administrator's verbs over topics.

use std::time::Duration;

use milena_core::{Error, ErrorCode, ErrorKind, LeaderEpoch, NodeId, Partition, Result, TopicName};
use milena_pool::{Cluster, Target};
use milena_protocol::Request;
use milena_protocol::kafka::protocol::StrBytes;
use milena_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use milena_protocol::messages::delete_topics_request::DeleteTopicState;
use milena_protocol::messages::metadata_request::MetadataRequestTopic;
use milena_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use milena_protocol::messages::{
    self, BrokerId, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, MetadataRequest, MetadataResponse,
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::PerItem;
use crate::topics::{CreatedTopic, NewTopic, PartitionDescription, TopicDescription, TopicListing};

/// Administers a cluster. A clone is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct Admin {
    cluster: Cluster,
    timeout: Duration,
}

impl Admin {
    /// An administrator of `cluster`; brokers get 30 s for each verb (`default.api.timeout.ms`).
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            timeout: Duration::from_secs(30),
        }
    }

    /// How long brokers may take for a verb, in whole milliseconds. Default 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Creates topics. Each succeeds or fails alone.
    ///
    /// # Errors
    /// Where no controller answers in time. Of an item: `TOPIC_ALREADY_EXISTS`, `INVALID_PARTITIONS`,
    /// `INVALID_REPLICATION_FACTOR`, `INVALID_CONFIG` …, with the broker's own words as message; [`ErrorKind::Config`] for a
    /// name that Kafka does not allow, which is not sent.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, the topics may or may not be created.
    ///
    /// # References
    /// CreateTopics, api key 19, versions 2 to 7.
    pub async fn create_topics<T: Into<NewTopic>>(
        &self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<PerItem<TopicName, CreatedTopic>> {
        let topics: Vec<NewTopic> = topics.into_iter().map(Into::into).collect();
        let wanted: Vec<_> = topics
            .iter()
            .filter(|topic| topic.name.defect().is_none())
            .map(creatable)
            .collect();
        let mut answers = Vec::new();
        if !wanted.is_empty() {
            let request = CreateTopicsRequest::default()
                .with_topics(wanted)
                .with_timeout_ms(self.timeout_ms());
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
            let answer = answer.ok_or_else(|| unanswered(&topic.name, "CreateTopics"))?;
            check(
                answer.error_code,
                answer.error_message.as_ref(),
                &topic.name,
                "CreateTopics",
            )?;
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

    /// Deletes topics with everything in them. Each succeeds or fails alone.
    ///
    /// # Errors
    /// Where no controller answers in time. Of an item: `UNKNOWN_TOPIC_OR_PARTITION`, `TOPIC_DELETION_DISABLED` and their like.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, the topics may or may not be deleted.
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
            let answer = answer.ok_or_else(|| unanswered(topic, "DeleteTopics"))?;
            check(
                answer.error_code,
                answer.error_message.as_ref(),
                topic,
                "DeleteTopics",
            )
        };
        Ok(PerItem::new(
            topics
                .iter()
                .map(|topic| (topic.clone(), result(topic)))
                .collect(),
        ))
    }

    /// Lists all topics that this client may see, by name; Kafka's own are among them, marked `internal`.
    ///
    /// # Errors
    /// Where no broker answers in time.
    ///
    /// # References
    /// Metadata, api key 3.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>> {
        let answer = self.metadata(None).await?;
        let mut topics: Vec<_> = answer
            .topics
            .iter()
            .filter(|topic| topic.error_code == 0)
            .filter_map(|topic| {
                Some(TopicListing {
                    name: TopicName::from(topic.name.as_ref()?.0.as_str()),
                    id: known_id(topic.topic_id),
                    partitions: topic.partitions.len(),
                    internal: topic.is_internal,
                })
            })
            .collect();
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(topics)
    }

    /// Describes topics with their partitions, leaders and replicas. Each succeeds or fails alone.
    ///
    /// # Errors
    /// Where no broker answers in time. Of an item: `UNKNOWN_TOPIC_OR_PARTITION` and its like.
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
            let answer = answer.ok_or_else(|| unanswered(topic, "Metadata"))?;
            check(answer.error_code, None, topic, "Metadata")?;
            Ok(described(topic, answer))
        };
        Ok(PerItem::new(
            topics
                .iter()
                .map(|topic| (topic.clone(), result(topic)))
                .collect(),
        ))
    }

    async fn metadata(&self, topics: Option<&[TopicName]>) -> Result<MetadataResponse> {
        let named = |name| MetadataRequestTopic::default().with_name(Some(wire_name(name)));
        let topics = topics.map(|names| names.iter().map(named).collect());
        let request = MetadataRequest::default()
            .with_topics(topics)
            .with_allow_auto_topic_creation(false);
        self.cluster
            .send_within(&Target::Any, &request, self.timeout)
            .await
    }

    /// Asks the controller, and the new one where it has moved: a broker that is not the controller refuses without doing anything.
    async fn at_controller<R: Request>(
        &self,
        build: impl Fn(i16) -> Result<R> + Send + Sync,
        has_moved: impl Fn(&R::Response) -> bool,
    ) -> Result<R::Response> {
        let deadline = Instant::now() + self.timeout;
        let mut attempt = 0;
        loop {
            let answer = self
                .cluster
                .send_built(&Target::Controller, self.timeout, &build)
                .await?;
            let wait = self.cluster.backoff().delay(attempt);
            if !has_moved(&answer) || Instant::now() + wait >= deadline {
                return Ok(answer);
            }
            attempt += 1;
            sleep(wait).await;
            self.cluster.refresh().await?;
        }
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let config = |(key, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(key.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    CreatableTopic::default()
        .with_name(wire_name(&topic.name))
        .with_num_partitions(topic.partitions.unwrap_or(-1))
        .with_replication_factor(topic.replication_factor.unwrap_or(-1))
        .with_configs(topic.configs.iter().map(config).collect())
}

fn described(name: &TopicName, answer: &MetadataResponseTopic) -> TopicDescription {
    let nodes = |ids: &[BrokerId]| {
        ids.iter()
            .filter_map(|id| NodeId::from_wire(id.0))
            .collect()
    };
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

/// Refuses a name that Kafka does not allow, before it is sent.
fn check_name(name: &TopicName) -> Result<()> {
    match name.defect() {
        None => Ok(()),
        Some(defect) => Err(Error::new(ErrorKind::Config, defect).topic(name)),
    }
}

fn check(
    code: i16,
    message: Option<&StrBytes>,
    topic: &TopicName,
    api: &'static str,
) -> Result<()> {
    match ErrorCode::from_wire(code) {
        None => Ok(()),
        Some(code) => {
            let words = message
                .map(|text| text.trim_end_matches('.').to_owned())
                .unwrap_or_default();
            Err(Error::new(ErrorKind::Broker(code), words)
                .topic(topic)
                .api(api))
        }
    }
}

fn unanswered(topic: &TopicName, api: &'static str) -> Error {
    Error::new(
        ErrorKind::Decode,
        "the broker's answer does not speak of this topic",
    )
    .topic(topic)
    .api(api)
}

fn wire_name(name: &TopicName) -> messages::TopicName {
    messages::TopicName(StrBytes::from_string(name.as_str().to_owned()))
}

fn moved(code: i16) -> bool {
    ErrorCode::from_wire(code) == Some(ErrorCode::NOT_CONTROLLER)
}

/// A zero id means that the broker knows no topic ids.
fn known_id(id: Uuid) -> Option<Uuid> {
    (!id.is_nil()).then_some(id)
}
