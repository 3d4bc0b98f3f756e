//! A snapshot of the cluster as Metadata shows it. Faults keep one to answer with an old state.

use std::collections::BTreeMap;
use std::sync::Arc;

use milena_core::Address;
use uuid::Uuid;

use crate::node::Node;
use crate::topic::Topic;

/// The brokers, topics and leaders at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The brokers that were up, with their addresses.
    pub(crate) brokers: Vec<(i32, Address)>,
    /// The racks of those brokers that have one.
    pub(crate) racks: BTreeMap<i32, String>,
    /// The controller's node id, -1 without one.
    pub(crate) controller: i32,
    /// The topics by name.
    pub(crate) topics: BTreeMap<String, TopicView>,
}

/// A topic at that moment.
#[derive(Clone, Debug)]
pub(crate) struct TopicView {
    /// The id.
    pub(crate) id: Uuid,
    /// The partitions, by number.
    pub(crate) partitions: Vec<PartitionView>,
}

/// A partition at that moment.
#[derive(Clone, Debug)]
pub(crate) struct PartitionView {
    /// The partition's number.
    pub(crate) index: i32,
    /// The leader's node id. `None` without one.
    pub(crate) leader: Option<i32>,
    /// The leader epoch.
    pub(crate) leader_epoch: i32,
    /// All replicas, the preferred leader first.
    pub(crate) replicas: Vec<i32>,
    /// The replicas in sync.
    pub(crate) in_sync: Vec<i32>,
}

impl View {
    /// Takes a snapshot of the brokers that are up, of the controller's id and of the topics.
    pub(crate) fn of<'a>(
        up: impl Iterator<Item = &'a Arc<Node>>,
        controller: i32,
        topics: &[Arc<Topic>],
    ) -> Self {
        let mut brokers = Vec::new();
        let mut racks = BTreeMap::new();
        for node in up {
            brokers.push((node.id, node.address()));
            racks.extend(node.rack.clone().map(|rack| (node.id, rack)));
        }
        Self {
            brokers,
            racks,
            controller,
            topics: topics
                .iter()
                .map(|topic| {
                    let partitions = topic
                        .all()
                        .iter()
                        .map(|partition| {
                            let state = partition.lock();
                            PartitionView {
                                index: partition.index,
                                leader: state.leader,
                                leader_epoch: state.leader_epoch,
                                in_sync: state.replicas.in_sync().to_vec(),
                                replicas: state.replicas.all().to_vec(),
                            }
                        })
                        .collect();
                    let view = TopicView {
                        id: topic.id,
                        partitions,
                    };
                    (topic.name.to_string(), view)
                })
                .collect(),
        }
    }
}
