//! Types for topics: new ones, listed ones and described ones.

use std::collections::BTreeMap;

use milena_core::{Error, ErrorCode, LeaderEpoch, NodeId, Partition, TopicName};
use uuid::Uuid;

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
