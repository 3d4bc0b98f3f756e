//! The picture of the cluster: brokers, topics, partitions and their leaders, as one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_core::{Address, ErrorCode, LeaderEpoch, NodeId, Partition, TopicName, TopicPartition};
use uuid::Uuid;

use crate::topic_map::TopicMap;

/// What was known of the cluster when it was last asked. Never changes: a newer one takes its place.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    pub(crate) cluster_id: Option<String>,
    pub(crate) controller: Option<NodeId>,
    pub(crate) brokers: BTreeMap<NodeId, BrokerMetadata>,
    pub(crate) topics: TopicMap,
}

/// A broker of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerMetadata {
    /// Its number.
    pub node: NodeId,
    /// Where it says it is reached, before the client's address map.
    pub address: Address,
    /// The rack it stands in.
    pub rack: Option<String>,
}

/// A topic of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: TopicName,
    /// Its id (KIP-516); `None` from brokers before 2.8.
    pub id: Option<Uuid>,
    /// What the broker said of it last, if that was an error; the partitions are the last good ones then.
    pub error: Option<ErrorCode>,
    /// Whether Kafka keeps it for itself.
    pub internal: bool,
    /// Its partitions, by number, without gaps.
    pub partitions: Vec<PartitionMetadata>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// Its number.
    pub partition: Partition,
    /// What the broker said of it, if that was an error.
    pub error: Option<ErrorCode>,
    /// Its leader; `None` while there is none.
    pub leader: Option<NodeId>,
    /// The leader's epoch; `None` where the broker does not tell.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The brokers that hold it.
    pub replicas: Vec<NodeId>,
    /// Those that are in sync.
    pub in_sync: Vec<NodeId>,
    /// Those that are offline.
    pub offline: Vec<NodeId>,
}

impl Metadata {
    /// The cluster's id; `None` where the brokers have none.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The controller, or the broker that stands in for it (KRaft).
    #[must_use]
    pub fn controller(&self) -> Option<NodeId> {
        self.controller
    }

    /// The brokers, by ascending number.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &BrokerMetadata> + '_ {
        self.brokers.values()
    }

    /// A broker by its number.
    #[must_use]
    pub fn broker(&self, node: NodeId) -> Option<&BrokerMetadata> {
        self.brokers.get(&node)
    }

    /// The topics that were asked for, in no order.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicMetadata>> + '_ {
        self.topics.iter()
    }

    /// A topic by its name. It counts as used: a topic that nothing looks up for five minutes is asked for no more.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.get(name)
    }

    /// A topic by its name, which does not count as used by that: for what is to follow a topic only while others use it.
    #[must_use]
    pub fn peek_topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.peek(name)
    }

    /// A topic by its id. It counts as used.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicMetadata>> {
        self.topics.by_id(id)
    }

    /// A partition.
    #[must_use]
    pub fn partition(&self, place: &TopicPartition) -> Option<&PartitionMetadata> {
        self.topic(&place.topic)?.partition(place.partition)
    }

    /// The leader of a partition, when it is known and among the brokers.
    #[must_use]
    pub fn leader(&self, place: &TopicPartition) -> Option<NodeId> {
        let leader = self.partition(place)?.leader?;
        self.brokers.contains_key(&leader).then_some(leader)
    }
}

impl TopicMetadata {
    /// A partition by its number.
    #[must_use]
    pub fn partition(&self, partition: Partition) -> Option<&PartitionMetadata> {
        self.partitions.get(partition.index())
    }
}
