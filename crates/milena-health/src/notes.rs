//! What events left behind: who answered, what failed, and since when. Of each client by itself.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use milena_core::{ConsumerEnd, Error, ErrorCode, ErrorKind, Event, NodeId, TopicPartition};
use tokio::time::Instant;

use crate::clients::ClientId;

/// What is remembered of events.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Whether any broker ever answered any client.
    pub(crate) contact: bool,
    pub(crate) clients: BTreeMap<ClientId, ClientNotes>,
}

/// What is remembered of one client's events.
#[derive(Debug, Default)]
pub(crate) struct ClientNotes {
    /// Whether any broker ever answered.
    pub(crate) contact: bool,
    pub(crate) nodes: HashMap<NodeId, Node>,
    /// Groups whose commits fail.
    pub(crate) commits: HashMap<String, Trouble>,
    /// Lanes that stopped, by group and partition.
    pub(crate) lanes: HashMap<(String, TopicPartition), String>,
    /// By group: consumers that ended otherwise than by being closed, oldest first, and were not started anew.
    pub(crate) ended: BTreeMap<String, Vec<Trouble>>,
    /// By group: how many consumers run.
    pub(crate) running: BTreeMap<String, usize>,
    /// User code that panicked, the latest time.
    pub(crate) panicked: Option<Panicked>,
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
    /// Whether trying again may help.
    pub(crate) passes: bool,
}

/// User code that panicked.
#[derive(Clone, Debug)]
pub(crate) struct Panicked {
    pub(crate) latest: Instant,
    pub(crate) what: String,
    pub(crate) times: u64,
}

impl Notes {
    pub(crate) fn on(&mut self, client: ClientId, event: &Event<'_>) {
        let notes = self.clients.entry(client).or_default();
        notes.on(event);
        self.contact |= notes.contact;
        if let Event::ConsumerStarted { group } = event {
            self.is_replaced(group);
        }
    }

    /// Forgets a client that is gone; its consumers that failed are remembered where `failures` says so, since nobody else tells of them.
    pub(crate) fn forget(&mut self, client: ClientId, failures: bool) {
        let Some(gone) = self.clients.remove(&client).filter(|_| failures) else {
            return;
        };
        let nobodys = self.clients.entry(ClientId::default()).or_default();
        for (group, mut ended) in gone.ended {
            nobodys.ended.entry(group).or_default().append(&mut ended);
        }
    }

    /// A consumer was started, maybe in place of one whose client is gone.
    fn is_replaced(&mut self, group: &str) {
        if let Some(nobodys) = self.clients.get_mut(&ClientId::default()) {
            nobodys.replaced(group);
        }
    }
}

impl ClientNotes {
    fn on(&mut self, event: &Event<'_>) {
        match *event {
            Event::Connected { node, .. } => self.answered(node, None),
            Event::ConnectFailed { node, error, .. } => self.failed(node, error),
            // Brokers close connections that are idle, which means nothing; but one that does not answer is in trouble.
            Event::Disconnected {
                node,
                error: Some(error),
                ..
            } if error.kind() == ErrorKind::Timeout => self.failed(node, error),
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
                    let known = self.commits.entry(group.to_owned());
                    known
                        .and_modify(|trouble| trouble.again(error))
                        .or_insert_with(|| Trouble::new(error));
                }
            },
            Event::LaneStopped {
                group,
                partition,
                route,
                reason,
            } => {
                let what = format!("{partition} in route {route}: {reason}");
                let lane = (group.to_owned(), partition.clone());
                self.lanes.insert(lane, what);
            }
            Event::Rebalance {
                group,
                phase,
                partitions,
                ..
            } => {
                for place in partitions {
                    self.lanes.remove(&(group.to_owned(), place.clone()));
                }
                if phase != milena_core::RebalancePhase::Assigned {
                    // What could not be committed is others' to read again.
                    self.commits.remove(group);
                }
            }
            Event::Resumed { group, partition } => {
                self.lanes.remove(&(group.to_owned(), partition.clone()));
            }
            Event::ConsumerStarted { group } => {
                *self.running.entry(group.to_owned()).or_default() += 1;
                self.replaced(group);
            }
            Event::ConsumerEnded { group, end } => self.ended(group, end),
            Event::Panicked { what, message } => {
                let times = self.panicked.as_ref().map_or(0, |known| known.times);
                self.panicked = Some(Panicked {
                    latest: Instant::now(),
                    what: format!("{what}: {message}"),
                    times: times + 1,
                });
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

    fn failed(&mut self, node: Option<NodeId>, error: &Error) {
        if let Some(node) = node {
            let known = &mut self.nodes.entry(node).or_default().trouble;
            match known {
                Some(trouble) => trouble.again(error),
                None => *known = Some(Trouble::new(error)),
            }
        }
    }

    fn ended(&mut self, group: &str, end: ConsumerEnd<'_>) {
        let left = self.running.get_mut(group).map_or(0, |running| {
            *running = running.saturating_sub(1);
            *running
        });
        if left == 0 {
            self.running.remove(group);
            self.commits.remove(group);
            self.lanes.retain(|(of, _), _| of != group);
        }
        let reason = match end {
            ConsumerEnd::Closed => return,
            ConsumerEnd::Stopped(reason) => format!("its handler stopped it: {reason}"),
            ConsumerEnd::Failed(error) => error.to_string(),
        };
        self.ended
            .entry(group.to_owned())
            .or_default()
            .push(Trouble {
                since: Instant::now(),
                reason,
                passes: false,
            });
    }

    /// A consumer was started, in place of the one that ended first, where one has.
    fn replaced(&mut self, group: &str) {
        if let Some(ended) = self.ended.get_mut(group) {
            if !ended.is_empty() {
                ended.remove(0);
            }
            if ended.is_empty() {
                self.ended.remove(group);
            }
        }
    }
}

impl Trouble {
    fn new(error: &Error) -> Self {
        Self {
            since: Instant::now(),
            reason: error.to_string(),
            passes: passes(error),
        }
    }

    /// It failed once more.
    fn again(&mut self, error: &Error) {
        self.reason = error.to_string();
        self.passes = passes(error);
    }
}

/// Whether it may work when it is tried again as it is: so does what a rebalance refuses, by the next member epoch.
fn passes(error: &Error) -> bool {
    use ErrorCode as Code;
    let about_the_member = matches!(
        error.code(),
        Some(
            Code::ILLEGAL_GENERATION
                | Code::UNKNOWN_MEMBER_ID
                | Code::STALE_MEMBER_EPOCH
                | Code::FENCED_MEMBER_EPOCH
                | Code::REBALANCE_IN_PROGRESS
        )
    );
    error.is_retriable() || about_the_member || error.code().is_none()
}
