//! How an answer changes the picture of the cluster: what is older than the picture never does.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_core::{Address, ErrorCode, LeaderEpoch, NodeId, Partition, TopicName, TopicPartition};
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use milena_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use milena_protocol::messages::{BrokerId, MetadataResponse};

use crate::metadata::{BrokerMetadata, Metadata, PartitionMetadata, TopicMetadata};

/// The picture after `answer` came in.
///
/// A topic that the answer leaves out or reports as broken keeps its last good partitions: brokers
/// that restart forget topics for a moment. A partition keeps its leader when the answer's leader
/// epoch is older (KIP-320), unless the topic was made anew, which its id tells.
pub(crate) fn merge(old: &Metadata, answer: &MetadataResponse) -> Metadata {
    let mut new = old.clone();
    let brokers: BTreeMap<_, _> = answer.brokers.iter().filter_map(read_broker).collect();
    if !brokers.is_empty() {
        new.brokers = brokers;
    }
    new.controller = NodeId::from_wire(answer.controller_id.0);
    if let Some(id) = &answer.cluster_id {
        new.cluster_id = Some(id.to_string());
    }
    for topic in &answer.topics {
        let Some(name) = &topic.name else { continue };
        let name = TopicName::from(name.as_str());
        let known = old.topic(&name);
        let topic = merge_topic(known.map(AsRef::as_ref), topic, &name);
        match known {
            Some(known) if **known == topic => {}
            _ => {
                new.topics.insert(name, Arc::new(topic));
            }
        }
    }
    new
}

/// The picture after another answer named a partition's leader (KIP-951); `None` when that is not new.
pub(crate) fn follow(
    old: &Metadata,
    place: &TopicPartition,
    hint: &LeaderHint,
    endpoints: &[NodeEndpoint],
) -> Option<Metadata> {
    let topic = old.topic(&place.topic)?;
    let known = topic.partition(place.partition)?;
    let endpoint = endpoints.iter().find(|endpoint| endpoint.node == hint.node);
    if known.leader_epoch.is_some_and(|epoch| epoch >= hint.epoch)
        || (endpoint.is_none() && !old.brokers.contains_key(&hint.node))
    {
        return None;
    }
    let mut topic = TopicMetadata::clone(topic);
    let partition = topic.partitions.get_mut(place.partition.index())?;
    partition.leader = Some(hint.node);
    partition.leader_epoch = Some(hint.epoch);
    partition.error = None;
    let mut new = old.clone();
    new.topics.insert(place.topic.clone(), Arc::new(topic));
    if let Some(endpoint) = endpoint {
        let broker = BrokerMetadata {
            node: endpoint.node,
            address: endpoint.address.clone(),
            rack: endpoint.rack.clone(),
        };
        new.brokers.insert(endpoint.node, broker);
    }
    Some(new)
}

/// The picture with one more broker, as FindCoordinator told of it; `None` when that is not new.
pub(crate) fn with_broker(old: &Metadata, node: NodeId, address: Address) -> Option<Metadata> {
    if old.brokers.contains_key(&node) {
        return None;
    }
    let mut new = old.clone();
    let rack = None;
    new.brokers.insert(
        node,
        BrokerMetadata {
            node,
            address,
            rack,
        },
    );
    Some(new)
}

fn read_broker(
    broker: &milena_protocol::messages::metadata_response::MetadataResponseBroker,
) -> Option<(NodeId, BrokerMetadata)> {
    let node = NodeId::from_wire(broker.node_id.0)?;
    let port = u16::try_from(broker.port).ok().filter(|port| *port > 0)?;
    if broker.host.is_empty() {
        return None;
    }
    let broker = BrokerMetadata {
        node,
        address: Address::new(broker.host.as_str(), port),
        rack: broker.rack.as_ref().map(ToString::to_string),
    };
    Some((node, broker))
}

fn merge_topic(
    known: Option<&TopicMetadata>,
    answer: &MetadataResponseTopic,
    name: &TopicName,
) -> TopicMetadata {
    let error = ErrorCode::from_wire(answer.error_code);
    let id = (!answer.topic_id.is_nil()).then_some(answer.topic_id);
    // The same topic, unless both ids are known and differ.
    let known = known.filter(|known| known.id.is_none() || id.is_none() || known.id == id);
    let partitions = match (known, answer.partitions.is_empty()) {
        (Some(known), true) => known.partitions.clone(),
        _ => merge_partitions(known, &answer.partitions),
    };
    TopicMetadata {
        name: name.clone(),
        id: id.or_else(|| known.and_then(|known| known.id)),
        error,
        internal: answer.is_internal,
        partitions,
    }
}

/// Partitions by number without gaps; one that the answer left out stays as it was.
fn merge_partitions(
    known: Option<&TopicMetadata>,
    answer: &[MetadataResponsePartition],
) -> Vec<PartitionMetadata> {
    let mut by_number: BTreeMap<Partition, PartitionMetadata> = known
        .into_iter()
        .flat_map(|known| known.partitions.iter())
        .map(|partition| (partition.partition, partition.clone()))
        .collect();
    // Without ids a topic made anew is told only by having been gone: its epochs begin at 0 again.
    let comparable = known.is_some_and(|known| known.id.is_some() || known.error.is_none());
    for partition in answer {
        let Some(new) = read_partition(partition) else {
            continue;
        };
        let known = by_number
            .get(&new.partition)
            .and_then(|old| old.leader_epoch);
        let older = comparable
            && known
                .zip(new.leader_epoch)
                .is_some_and(|(old, new)| new < old);
        if !older {
            by_number.insert(new.partition, new);
        }
    }
    by_number
        .into_values()
        .enumerate()
        .take_while(|(at, partition)| partition.partition.index() == *at)
        .map(|(_, partition)| partition)
        .collect()
}

fn read_partition(answer: &MetadataResponsePartition) -> Option<PartitionMetadata> {
    let nodes = |ids: &[BrokerId]| {
        ids.iter()
            .filter_map(|id| NodeId::from_wire(id.0))
            .collect()
    };
    Some(PartitionMetadata {
        partition: Partition::from_wire(answer.partition_index)?,
        error: ErrorCode::from_wire(answer.error_code),
        leader: NodeId::from_wire(answer.leader_id.0),
        leader_epoch: LeaderEpoch::from_wire(answer.leader_epoch),
        replicas: nodes(&answer.replica_nodes),
        in_sync: nodes(&answer.isr_nodes),
        offline: nodes(&answer.offline_replicas),
    })
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
