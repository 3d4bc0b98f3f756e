//! The metadata of a cluster: brokers, topics, partitions and their leaders, as one snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_core::{Address, ErrorCode, LeaderEpoch, NodeId, Partition, TopicName, TopicPartition};
use uuid::Uuid;

use crate::topic_map::TopicMap;

/// A snapshot of the cluster. It never changes. A refresh replaces it.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// The cluster's id. `None` if no answer named one.
    pub(crate) cluster_id: Option<String>,
    /// The controller. `None` if the last answer named none.
    pub(crate) controller: Option<NodeId>,
    /// The brokers of the last answer that named any. Their addresses are the advertised ones.
    pub(crate) brokers: BTreeMap<NodeId, BrokerMetadata>,
    /// The topics that were asked for, by name and by id.
    pub(crate) topics: TopicMap,
}

/// A broker of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerMetadata {
    /// The broker's number.
    pub node: NodeId,
    /// The address that the broker advertises, before the client's address map.
    pub address: Address,
    /// The broker's rack. `None` if it has none.
    pub rack: Option<String>,
}

/// A topic of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// The topic's name.
    pub name: TopicName,
    /// The topic's id (KIP-516). `None` from brokers before 2.8.
    pub id: Option<Uuid>,
    /// The error that the last answer had for this topic. `None` if it had none. With an error, the
    /// other fields come from the last good answer.
    pub error: Option<ErrorCode>,
    /// True for a topic that Kafka uses internally.
    pub internal: bool,
    /// The partitions, sorted by number, without gaps.
    pub partitions: Vec<PartitionMetadata>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// The partition's number.
    pub partition: Partition,
    /// The error that the last answer had for this partition. `None` if it had none.
    pub error: Option<ErrorCode>,
    /// The leader. `None` while there is none.
    pub leader: Option<NodeId>,
    /// The leader's epoch. `None` if the broker did not send it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The brokers with a replica.
    pub replicas: Vec<NodeId>,
    /// The brokers with a replica that is in sync.
    pub in_sync: Vec<NodeId>,
    /// The brokers with a replica that is offline.
    pub offline: Vec<NodeId>,
}

impl Metadata {
    /// Returns the cluster's id. `None` if the brokers have none.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// Returns the controller. With KRaft it is a broker that stands in for the controller.
    #[must_use]
    pub fn controller(&self) -> Option<NodeId> {
        self.controller
    }

    /// Returns the brokers, in ascending order.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &BrokerMetadata> + '_ {
        self.brokers.values()
    }

    /// Returns a broker by its number.
    #[must_use]
    pub fn broker(&self, node: NodeId) -> Option<&BrokerMetadata> {
        self.brokers.get(&node)
    }

    /// Returns the topics that were asked for, in no particular order.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = &Arc<TopicMetadata>> + '_ {
        self.topics.iter()
    }

    /// Returns a topic by its name and marks it as used. A topic that is not used for five minutes
    /// is no longer asked for.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.get(name)
    }

    /// Returns a topic by its name without marking it as used. For code that follows a topic only
    /// while others use it.
    #[must_use]
    pub fn peek_topic(&self, name: &str) -> Option<&Arc<TopicMetadata>> {
        self.topics.peek(name)
    }

    /// Returns a topic by its id and marks it as used.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicMetadata>> {
        self.topics.by_id(id)
    }

    /// Returns a partition. Marks its topic as used.
    #[must_use]
    pub fn partition(&self, place: &TopicPartition) -> Option<&PartitionMetadata> {
        self.topic(&place.topic)?.partition(place.partition)
    }

    /// Returns the leader of a partition. `None` if the leader is unknown or not among the brokers.
    /// Marks the topic as used.
    #[must_use]
    pub fn leader(&self, place: &TopicPartition) -> Option<NodeId> {
        let leader = self.partition(place)?.leader?;
        self.brokers.contains_key(&leader).then_some(leader)
    }
}

impl TopicMetadata {
    /// Returns a partition by its number.
    #[must_use]
    pub fn partition(&self, partition: Partition) -> Option<&PartitionMetadata> {
        self.partitions.get(partition.index())
    }
}
