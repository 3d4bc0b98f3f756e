//! What events left behind: who answered, what failed, and since when.

use std::collections::HashMap;
use std::time::Duration;

use milena_core::{ErrorKind, Event, NodeId, RebalancePhase, TopicPartition};
use tokio::time::Instant;

/// What is remembered of events.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Whether any broker ever answered.
    pub(crate) contact: bool,
    pub(crate) nodes: HashMap<NodeId, Node>,
    /// Groups whose commits fail.
    pub(crate) commits: HashMap<String, Trouble>,
    pub(crate) lanes: HashMap<TopicPartition, String>,
}

/// What is known of a broker.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// How long its last answer to a short request took.
    pub(crate) latency: Option<Duration>,
    pub(crate) trouble: Option<Trouble>,
}

/// Something that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) since: Instant,
    pub(crate) reason: String,
}

impl Notes {
    pub(crate) fn on(&mut self, event: &Event<'_>) {
        match *event {
            Event::Connected { node, .. } => self.answered(node, None),
            Event::ConnectFailed { node, error, .. } => self.failed(node, error.to_string()),
            // Brokers close connections that are idle, which means nothing; but one that does not answer is in trouble.
            Event::Disconnected {
                node,
                error: Some(error),
                ..
            } if error.kind() == ErrorKind::Timeout => self.failed(node, error.to_string()),
            // A request that failed ends its connection, which is told by itself.
            Event::Request {
                node,
                api,
                elapsed,
                error: None,
                ..
            } => {
                // A fetch is parked at the broker, as are joining and syncing: their time says nothing.
                let parks = matches!(api, "Fetch" | "JoinGroup" | "SyncGroup");
                self.answered(node, (!parks).then_some(elapsed));
            }
            Event::Commit { group, error, .. } => match error {
                None => {
                    self.commits.remove(group);
                }
                Some(error) => {
                    let reason = error.to_string();
                    let known = self.commits.entry(group.to_owned());
                    known
                        .and_modify(|trouble| trouble.reason.clone_from(&reason))
                        .or_insert_with(|| Trouble::new(reason));
                }
            },
            Event::LaneStopped {
                partition,
                route,
                reason,
                ..
            } => {
                let what = format!("{partition} in route {route}: {reason}");
                self.lanes.insert(partition.clone(), what);
            }
            Event::Rebalance {
                group,
                phase,
                partitions,
                ..
            } => {
                if phase == RebalancePhase::Assigned {
                    partitions.iter().for_each(|place| {
                        self.lanes.remove(place);
                    });
                } else {
                    // What could not be committed is others' to read again.
                    self.commits.remove(group);
                }
            }
            Event::Resumed { partition, .. } => {
                self.lanes.remove(partition);
            }
            _ => {}
        }
    }

    fn answered(&mut self, node: Option<NodeId>, latency: Option<Duration>) {
        self.contact = true;
        if let Some(node) = node {
            let node = self.nodes.entry(node).or_default();
            node.trouble = None;
            node.latency = latency.or(node.latency);
        }
    }

    fn failed(&mut self, node: Option<NodeId>, reason: String) {
        if let Some(node) = node {
            let node = self.nodes.entry(node).or_default();
            let trouble = node
                .trouble
                .get_or_insert_with(|| Trouble::new(String::new()));
            trouble.reason = reason;
        }
    }
}

impl Trouble {
    fn new(reason: String) -> Self {
        Self {
            since: Instant::now(),
            reason,
        }
    }
}
