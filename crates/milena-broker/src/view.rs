//! The cluster as Metadata shows it at one moment; kept by faults that answer with an old one.

use std::collections::BTreeMap;

use milena_core::Address;
use uuid::Uuid;

use crate::cluster::Cluster;

/// Brokers, topics and leaders at one moment.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) brokers: Vec<(i32, Address)>,
    pub(crate) racks: BTreeMap<i32, String>,
    pub(crate) controller: i32,
    pub(crate) topics: BTreeMap<String, TopicView>,
}

#[derive(Clone, Debug)]
pub(crate) struct TopicView {
    pub(crate) id: Uuid,
    pub(crate) partitions: Vec<PartitionView>,
}

#[derive(Clone, Debug)]
pub(crate) struct PartitionView {
    pub(crate) index: i32,
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
}

impl View {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        Self {
            brokers: cluster.up().map(|node| (node.id, node.address())).collect(),
            racks: cluster
                .up()
                .filter_map(|node| Some((node.id, node.rack.clone()?)))
                .collect(),
            controller: cluster.controller(),
            topics: cluster
                .topics()
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
