//! The state that events leave behind, kept for each client. It holds answers and failures with
//! their start times.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use milena_core::{ConsumerEnd, Error, ErrorCode, ErrorKind, Event, NodeId, TopicPartition};
use tokio::time::Instant;

use crate::clients::ClientId;

/// The state left by the events of all clients.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// True once any broker has answered any client. Never reset.
    pub(crate) contact: bool,
    /// The state of each client. Client 0 also keeps the failures of consumers whose client is
    /// gone.
    pub(crate) clients: BTreeMap<ClientId, ClientNotes>,
}

/// The state left by one client's events.
#[derive(Debug, Default)]
pub(crate) struct ClientNotes {
    /// True once any broker has answered this client. Never reset.
    pub(crate) contact: bool,
    /// The brokers that events named.
    pub(crate) nodes: HashMap<NodeId, Node>,
    /// The groups whose latest commit failed.
    pub(crate) commits: HashMap<String, Trouble>,
    /// The lanes that stopped, by group and partition, with the reason. Cleared by a rebalance or a
    /// resume of the partition.
    pub(crate) lanes: HashMap<(String, TopicPartition), String>,
    /// Consumers of each group that ended otherwise than by being closed and were not started anew,
    /// oldest first. Never an empty list.
    pub(crate) ended: BTreeMap<String, Vec<Trouble>>,
    /// The number of running consumers of each group. Never 0.
    pub(crate) running: BTreeMap<String, usize>,
    /// The latest panic of user code, with the number of all. `None` if there was none.
    pub(crate) panicked: Option<Panicked>,
}

/// The state of one broker.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// The time of its last answer to a short request. `None` before the first.
    pub(crate) latency: Option<Duration>,
    /// The present failure. `None` while it answers.
    pub(crate) trouble: Option<Trouble>,
}

/// A failure that lasts.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// The time of the first failure.
    pub(crate) since: Instant,
    /// The text of the latest error.
    pub(crate) reason: String,
    /// True if trying again may help.
    pub(crate) passes: bool,
}

/// The panics of user code.
#[derive(Clone, Debug)]
pub(crate) struct Panicked {
    /// The time of the latest panic.
    pub(crate) latest: Instant,
    /// The place and message of the latest panic.
    pub(crate) what: String,
    /// The number of panics so far.
    pub(crate) times: u64,
}

impl Notes {
    /// Takes in an event of `client`.
    pub(crate) fn on(&mut self, client: ClientId, event: &Event<'_>) {
        let notes = self.clients.entry(client).or_default();
        notes.on(event);
        self.contact |= notes.contact;
        if let Event::ConsumerStarted { group } = event {
            self.is_replaced(group);
        }
    }

    /// Forgets a client that is gone. With `failures`, its failed consumers move to client 0,
    /// because no other part of the program reports them.
    pub(crate) fn forget(&mut self, client: ClientId, failures: bool) {
        let Some(gone) = self.clients.remove(&client).filter(|_| failures) else {
            return;
        };
        let nobodys = self.clients.entry(ClientId::default()).or_default();
        for (group, mut ended) in gone.ended {
            nobodys.ended.entry(group).or_default().append(&mut ended);
        }
    }

    /// Notes that a consumer was started, which may replace one whose client is gone.
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
            // Brokers close idle connections, which is normal. A connection that ended by a timeout
            // shows a broker that does not answer.
            Event::Disconnected {
                node,
                error: Some(error),
                ..
            } if error.kind() == ErrorKind::Timeout => self.failed(node, error),
            // Failed requests need no arm here. They end their connection, which is an event of its
            // own.
            Event::Request {
                node,
                api,
                elapsed,
                error: None,
                ..
            } => {
                // Brokers park fetches, joins and syncs on purpose, so their times say nothing
                // about the broker.
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
            // Any change of a partition's assignment ends its stopped lane.
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
                    // The new owner reads again from the last committed offset, so the failed
                    // commit no longer matters here.
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

    /// Notes that a broker answered.
    fn answered(&mut self, node: Option<NodeId>, latency: Option<Duration>) {
        self.contact = true;
        if let Some(node) = node {
            let node = self.nodes.entry(node).or_default();
            node.trouble = None;
            node.latency = latency.or(node.latency);
        }
    }

    /// Notes that a broker did not answer. An error without a known broker id is not kept.
    fn failed(&mut self, node: Option<NodeId>, error: &Error) {
        if let Some(node) = node {
            let known = &mut self.nodes.entry(node).or_default().trouble;
            match known {
                Some(trouble) => trouble.again(error),
                None => *known = Some(Trouble::new(error)),
            }
        }
    }

    /// Notes that a consumer ended. Its group's failed commits and lanes are forgotten with the
    /// group's last consumer here.
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

    /// Notes that a consumer was started. It replaces the consumer of the group that failed first.
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
    /// Begins a failure now.
    fn new(error: &Error) -> Self {
        Self {
            since: Instant::now(),
            reason: error.to_string(),
            passes: passes(error),
        }
    }

    /// Notes another failure of the same thing. The start time stays.
    fn again(&mut self, error: &Error) {
        self.reason = error.to_string();
        self.passes = passes(error);
    }
}

/// Returns true if a retry of the same request may succeed.
///
/// Errors about the member count as such, because the next member epoch ends them after a
/// rebalance.
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
