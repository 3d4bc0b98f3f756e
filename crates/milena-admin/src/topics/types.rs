//! What is said of topics: new ones, listed ones, described ones.

use std::collections::BTreeMap;

use milena_core::{Error, ErrorCode, LeaderEpoch, NodeId, Partition, TopicName};
use uuid::Uuid;

/// A topic to be created.
///
/// ```
/// # use milena_admin::NewTopic;
/// let topic = NewTopic::new("orders").partitions(12).replication_factor(3).config("retention.ms", "86400000");
/// # let _ = topic;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    pub(crate) name: TopicName,
    pub(crate) partitions: Option<i32>,
    pub(crate) replication_factor: Option<i16>,
    pub(crate) replicas: Vec<Vec<NodeId>>,
    pub(crate) configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with as many partitions and replicas as the cluster's defaults say (`num.partitions`,
    /// `default.replication.factor`; KIP-464).
    pub fn new(name: impl Into<TopicName>) -> Self {
        Self {
            name: name.into(),
            partitions: None,
            replication_factor: None,
            replicas: Vec::new(),
            configs: BTreeMap::new(),
        }
    }

    /// How many partitions; at least 1. Default: the cluster's `num.partitions`.
    #[must_use]
    pub fn partitions(mut self, partitions: i32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// How many replicas of each partition; at least 1. Default: the cluster's `default.replication.factor`.
    #[must_use]
    pub fn replication_factor(mut self, replicas: i16) -> Self {
        self.replication_factor = Some(replicas);
        self
    }

    /// Places the replicas of each partition by hand, in the order of the partitions, the preferred leader first; this says how many
    /// partitions and replicas there are, in place of [`partitions`](Self::partitions) and
    /// [`replication_factor`](Self::replication_factor).
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

    /// Its name.
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
    /// Its name.
    pub name: TopicName,
    /// Its id, where the broker knows ids (Kafka 2.8 and later).
    pub id: Option<Uuid>,
    /// How many partitions it has, where the broker says so (Kafka 2.4 and later).
    pub partitions: Option<i32>,
    /// How many replicas each has, where the broker says so.
    pub replication_factor: Option<i16>,
}

/// A topic as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicListing {
    /// Its name.
    pub name: TopicName,
    /// Its id, where the broker knows ids.
    pub id: Option<Uuid>,
    /// How many partitions it has; 0 where the broker could not tell.
    pub partitions: usize,
    /// Whether it is one of Kafka's own, such as `__consumer_offsets`.
    pub internal: bool,
    /// Why the broker could tell nothing but its name; `None` for a topic in order.
    pub error: Option<ErrorCode>,
}

/// A topic and its partitions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its id, where the broker knows ids.
    pub id: Option<Uuid>,
    /// Whether it is one of Kafka's own.
    pub internal: bool,
    /// Its partitions, by rising number.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition and its replicas.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PartitionDescription {
    /// Its number.
    pub partition: Partition,
    /// The broker that leads it; `None` while there is none.
    pub leader: Option<NodeId>,
    /// The epoch of that leader.
    pub leader_epoch: Option<LeaderEpoch>,
    /// All replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The replicas that are in sync.
    pub in_sync: Vec<NodeId>,
    /// The replicas whose broker is down.
    pub offline: Vec<NodeId>,
    /// What the broker said of this partition, such as `LEADER_NOT_AVAILABLE`.
    pub error: Option<Error>,
}
