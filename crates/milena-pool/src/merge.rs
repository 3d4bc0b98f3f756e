//! Merges an answer into the metadata. Older answers never replace newer metadata.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use milena_core::{Address, ErrorCode, LeaderEpoch, NodeId, Partition, TopicName, TopicPartition};
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use milena_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use milena_protocol::messages::{BrokerId, MetadataResponse};

use uuid::Uuid;

use crate::doubts::{Claim, Doubts, Source};
use crate::metadata::{BrokerMetadata, Metadata, PartitionMetadata, TopicMetadata};
use crate::wanted::Scope;

/// The metadata after an answer was merged.
pub(crate) struct Merged {
    /// The merged metadata.
    pub(crate) picture: Metadata,
    /// True if the answer held anything that was not known.
    pub(crate) is_new: bool,
}

/// Merges `answer`, a response to a request for `scope`, into `old`.
///
/// - A topic that the answer leaves out or reports as unknown keeps its last good partitions,
///   because restarting brokers forget topics for a moment. The topic is removed once answers
///   without it have come for some seconds ([`Doubts`]).
/// - A partition keeps its leader if the answer's leader epoch is older (KIP-320).
/// - If the topic's id changed, the topic was deleted and created again, and its old leader epochs
///   mean nothing. That must be confirmed by another answer, too.
pub(crate) fn merge(
    old: &Metadata,
    answer: &MetadataResponse,
    scope: &Scope,
    doubts: &mut Doubts,
    from: Source,
) -> Merged {
    let mut new = old.clone();
    let brokers: BTreeMap<_, _> = answer.brokers.iter().filter_map(read_broker).collect();
    // A broker that has just started may answer without brokers. The client could not reach anyone
    // without the known ones.
    if !brokers.is_empty() {
        new.brokers = brokers;
    }
    new.controller = NodeId::from_wire(answer.controller_id.0);
    if let Some(id) = &answer.cluster_id {
        new.cluster_id = Some(id.to_string());
    }
    let mut is_new = new.brokers != old.brokers || new.controller != old.controller;
    for topic in &answer.topics {
        let Some(name) = &topic.name else { continue };
        let name = TopicName::from(name.as_str());
        let known = old.topics.peek(&name).map(AsRef::as_ref);
        let topic = merge_topic(known, topic, &name, doubts, from);
        if known != Some(&topic) {
            new.topics.insert(topic);
            is_new = true;
        }
    }
    // A broker that has just started answers without brokers and does not know the topics yet.
    // Topics missing from such an answer are not removed.
    if !answer.brokers.is_empty() {
        is_new |= drop_absent(&mut new, answer, scope, doubts, from) > 0;
    }
    doubts.hear(from.node, |name| new.topics.peek(name).is_some());
    Merged {
        picture: new,
        is_new,
    }
}

/// Removes the topics that the answer should hold and does not, and the topics that nobody wants
/// any more.
fn drop_absent(
    new: &mut Metadata,
    answer: &MetadataResponse,
    scope: &Scope,
    doubts: &mut Doubts,
    from: Source,
) -> usize {
    match scope {
        Scope::Part(_) => 0,
        Scope::Wanted(names) => new.topics.retain(|topic| names.contains(&topic.name)),
        Scope::All => {
            let named = answer.topics.iter().filter_map(|topic| topic.name.as_ref());
            let there: HashSet<&str> = named.map(|name| name.as_str()).collect();
            let absent = new
                .topics
                .iter()
                .filter(|topic| !there.contains(&*topic.name));
            let gone: HashSet<TopicName> = absent
                .filter(|topic| {
                    topic.partitions.is_empty() || doubts.believes(&topic.name, Claim::Gone, from)
                })
                .map(|topic| topic.name.clone())
                .collect();
            new.topics.retain(|topic| !gone.contains(&topic.name))
        }
    }
}

/// The new leader of a partition, from an answer to another request (KIP-951).
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    /// The partition.
    pub(crate) place: TopicPartition,
    /// The leader and its epoch.
    pub(crate) hint: LeaderHint,
}

/// Merges leaders that another answer named. Returns the new metadata and the number of leaders
/// that changed. `None` if none did.
pub(crate) fn follow(
    old: &Metadata,
    moved: &[Moved],
    endpoints: &[NodeEndpoint],
) -> Option<(Metadata, usize)> {
    let mut touched: HashMap<&TopicName, TopicMetadata> = HashMap::new();
    let mut brokers: Option<BTreeMap<NodeId, BrokerMetadata>> = None;
    let mut count = 0;
    for Moved { place, hint } in moved {
        let topic = match touched.entry(&place.topic) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let Some(topic) = old.topic(&place.topic) else {
                    continue;
                };
                if !is_newer(topic, place, hint) {
                    continue;
                }
                entry.insert(TopicMetadata::clone(topic))
            }
        };
        if !is_newer(topic, place, hint) {
            continue;
        }
        let endpoint = endpoints.iter().find(|endpoint| endpoint.node == hint.node);
        if endpoint.is_none() && !old.brokers.contains_key(&hint.node) {
            continue;
        }
        let Some(partition) = topic.partitions.get_mut(place.partition.index()) else {
            continue;
        };
        partition.leader = Some(hint.node);
        partition.leader_epoch = Some(hint.epoch);
        partition.error = None;
        count += 1;
        if let Some(endpoint) = endpoint {
            let broker = BrokerMetadata {
                node: endpoint.node,
                address: endpoint.address.clone(),
                rack: endpoint.rack.clone(),
            };
            let brokers = brokers.get_or_insert_with(|| old.brokers.clone());
            brokers.insert(endpoint.node, broker);
        }
    }
    if count == 0 {
        return None;
    }
    let mut new = old.clone();
    for topic in touched.into_values() {
        new.topics.insert(topic);
    }
    if let Some(brokers) = brokers {
        new.brokers = brokers;
    }
    Some((new, count))
}

/// Returns true if the hint has a newer leader epoch than the known partition.
fn is_newer(topic: &TopicMetadata, place: &TopicPartition, hint: &LeaderHint) -> bool {
    let known = topic.partition(place.partition);
    known.is_some_and(|known| known.leader_epoch.is_none_or(|epoch| epoch < hint.epoch))
}

/// Adds a broker that FindCoordinator named. `None` if the broker is known.
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

/// Reads a broker from an answer. `None` if its number, host or port is invalid.
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

/// Merges what an answer says about one topic with what is known about it.
fn merge_topic(
    known: Option<&TopicMetadata>,
    answer: &MetadataResponseTopic,
    name: &TopicName,
    doubts: &mut Doubts,
    from: Source,
) -> TopicMetadata {
    let error = ErrorCode::from_wire(answer.error_code);
    let id = (!answer.topic_id.is_nil()).then_some(answer.topic_id);
    let known = match known.map(|known| compare(known, error, id, answer.partitions.len())) {
        None => None,
        Some(Compared::Same(known)) => {
            if error.is_none() {
                doubts.deny(name, from.node);
            }
            Some(known)
        }
        Some(Compared::Another) => {
            doubts.settle(name);
            None
        }
        Some(Compared::Claims(known, claim)) => {
            if doubts.believes(name, claim, from) {
                None
            } else if claim == Claim::Gone {
                Some(known)
            } else {
                return known.clone();
            }
        }
    };
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

/// The result of comparing a topic in an answer with the known topic.
enum Compared<'a> {
    /// The answer is about the known topic.
    Same(&'a TopicMetadata),
    /// The known topic is gone for certain. The answer is about another topic of that name.
    Another,
    /// The answer contradicts what is known. That must be confirmed.
    Claims(&'a TopicMetadata, Claim),
}

/// Compares a topic in an answer with the known topic.
fn compare(
    known: &TopicMetadata,
    error: Option<ErrorCode>,
    id: Option<Uuid>,
    partitions: usize,
) -> Compared<'_> {
    const UNKNOWN: Option<ErrorCode> = Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    if error == UNKNOWN && !known.partitions.is_empty() {
        return Compared::Claims(known, Claim::Gone);
    }
    if error.is_some() {
        return Compared::Same(known);
    }
    let was_gone = known.error == UNKNOWN;
    match (known.id, id) {
        (Some(before), Some(id)) if before == id => Compared::Same(known),
        (Some(_), Some(_)) if was_gone => Compared::Another,
        (Some(_), Some(id)) => Compared::Claims(known, Claim::Anew(id)),
        // Brokers without topic ids do not show that a topic was created again. It can be seen only
        // if the topic was gone in between, or if it has fewer partitions, because topics never
        // shrink.
        (None, None) if was_gone => Compared::Another,
        (None, None) if partitions < known.partitions.len() => {
            Compared::Claims(known, Claim::Smaller(partitions))
        }
        _ => Compared::Same(known),
    }
}

/// Returns the partitions by number, without gaps. A partition that the answer leaves out stays as
/// it was.
fn merge_partitions(
    known: Option<&TopicMetadata>,
    answer: &[MetadataResponsePartition],
) -> Vec<PartitionMetadata> {
    let mut by_number: BTreeMap<Partition, PartitionMetadata> = known
        .into_iter()
        .flat_map(|known| known.partitions.iter())
        .map(|partition| (partition.partition, partition.clone()))
        .collect();
    for partition in answer {
        let Some(new) = read_partition(partition) else {
            continue;
        };
        let known = by_number
            .get(&new.partition)
            .and_then(|old| old.leader_epoch);
        let older = known
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
mod tests;
