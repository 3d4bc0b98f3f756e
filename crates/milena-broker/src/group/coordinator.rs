//! All groups of the cluster. It passes requests to them, parks requests that must wait, and runs
//! their timers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use milena_core::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::committed::Committed;
use super::consumer::{Beat, BeatReply, Timing, World};
use super::join::Joining;
use super::member::Ticket;
use super::reply::{JoinReply, Reply, SyncReply};
use super::state::Group;
use super::sync::Syncing;
use super::view::GroupView;
use crate::cluster::Cluster;
use crate::refused::Refused;
use crate::settings::Settings;

/// The coordinator of all groups. The brokers of the cluster share it.
#[derive(Debug)]
pub(crate) struct Coordinator {
    /// The groups and the parked requests, behind one lock that is never held while waiting.
    state: Mutex<CoordinatorState>,
    /// Notified when a deadline may have changed, which wakes the timer task.
    changed: Arc<Notify>,
    /// `group.initial.rebalance.delay.ms`.
    initial_delay: Duration,
    /// The smallest and the largest session timeout of classic members.
    sessions: (Duration, Duration),
    /// The timing of members of the consumer protocol.
    timing: Timing,
}

/// The state of all groups.
#[derive(Debug, Default)]
struct CoordinatorState {
    /// The groups by name.
    groups: BTreeMap<String, Group>,
    /// The senders that wake parked requests. A ticket is removed when its reply is delivered.
    parked: HashMap<Ticket, oneshot::Sender<Reply>>,
    /// The ticket of the next parked request. Only grows.
    next_ticket: Ticket,
}

impl CoordinatorState {
    /// Sends due replies to the parked requests.
    fn deliver(&mut self, replies: Vec<(Ticket, Reply)>) {
        for (ticket, reply) in replies {
            if let Some(waiter) = self.parked.remove(&ticket) {
                // Fails if the client went away, which needs no answer.
                let _ = waiter.send(reply);
            }
        }
    }

    /// Makes a ticket and a receiver for a request that has to wait.
    fn park(&mut self) -> (Ticket, oneshot::Receiver<Reply>) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let (waiter, parked) = oneshot::channel();
        self.parked.insert(ticket, waiter);
        (ticket, parked)
    }
}

impl Coordinator {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            state: Mutex::default(),
            changed: Arc::default(),
            initial_delay: settings.initial_rebalance_delay,
            sessions: (settings.min_session_timeout, settings.max_session_timeout),
            timing: settings.consumer_timing,
        }
    }

    /// Starts the task that runs the groups' timers.
    pub(crate) fn start(&self, cluster: &Arc<Cluster>) {
        // The task holds the cluster weakly, so that it does not keep it alive.
        let (weak, changed) = (Arc::downgrade(cluster), Arc::clone(&self.changed));
        cluster.tasks.spawn(async move {
            loop {
                let Some(next) = weak.upgrade().map(|cluster| cluster.groups.tick()) else {
                    return;
                };
                match next {
                    Some(deadline) => {
                        tokio::select! {
                            () = tokio::time::sleep_until(deadline) => {}
                            () = changed.notified() => {}
                        }
                    }
                    None => changed.notified().await,
                }
            }
        });
    }

    /// Runs the timers of all groups. Returns the time of the next one.
    fn tick(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut replies = Vec::new();
        for group in state.groups.values_mut() {
            group.tick(now);
            replies.extend(group.take_replies());
        }
        state.groups.retain(|_, group| !group.is_forgettable());
        state.deliver(replies);
        state.groups.values().filter_map(Group::next_deadline).min()
    }

    /// Runs `act` on a group that exists, and delivers the replies that it caused.
    pub(crate) fn with<T>(&self, group: &str, act: impl FnOnce(&mut Group) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let found = state.groups.get_mut(group)?;
        let done = act(found);
        let replies = found.take_replies();
        state.deliver(replies);
        drop(state);
        self.changed.notify_one();
        Some(done)
    }

    /// Runs `act` on a group, which is created if it does not exist, and delivers the replies that
    /// it caused.
    pub(crate) fn with_new<T>(&self, group: &str, act: impl FnOnce(&mut Group) -> T) -> T {
        let mut state = self.state.lock();
        let found = state
            .groups
            .entry(group.to_owned())
            .or_insert_with(Group::new);
        let done = act(found);
        let replies = found.take_replies();
        state.deliver(replies);
        drop(state);
        self.changed.notify_one();
        done
    }

    /// Joins a classic group. Waits until all members have joined, or the rebalance timeout has
    /// passed.
    pub(crate) async fn join(&self, group: &str, node: i32, mut request: Joining) -> JoinReply {
        let id = request.who.member_id.clone();
        let refused = |code| JoinReply::refused(code, &id);
        if group.is_empty() {
            return refused(ErrorCode::INVALID_GROUP_ID);
        }
        if request.session_timeout < self.sessions.0 || request.session_timeout > self.sessions.1 {
            return refused(ErrorCode::INVALID_SESSION_TIMEOUT);
        }
        request.initial_delay = self.initial_delay;
        let parked = {
            let mut state = self.state.lock();
            let state = &mut *state;
            // Only a join without an id may create a group. A member that has one was in a group
            // that is gone.
            if !state.groups.contains_key(group) && !id.is_empty() {
                return refused(ErrorCode::UNKNOWN_MEMBER_ID);
            }
            let (ticket, parked) = state.park();
            let found = state
                .groups
                .entry(group.to_owned())
                .or_insert_with(Group::new);
            found.serve_at(node);
            found.join(Instant::now(), request, ticket);
            let replies = found.take_replies();
            state.deliver(replies);
            parked
        };
        self.changed.notify_one();
        // The sender is dropped only with the whole cluster.
        match parked.await {
            Ok(Reply::Join(reply)) => reply,
            _ => refused(ErrorCode::NOT_COORDINATOR),
        }
    }

    /// Synchronizes a member of a classic group. Waits until the leader has assigned.
    pub(crate) async fn sync(&self, group: &str, request: Syncing) -> SyncReply {
        let parked = {
            let mut state = self.state.lock();
            let state = &mut *state;
            let (ticket, parked) = state.park();
            let Some(found) = state.groups.get_mut(group) else {
                state.parked.remove(&ticket);
                return Err(ErrorCode::UNKNOWN_MEMBER_ID);
            };
            found.sync(Instant::now(), request, ticket);
            let replies = found.take_replies();
            state.deliver(replies);
            parked
        };
        self.changed.notify_one();
        match parked.await {
            Ok(Reply::Sync(reply)) => reply,
            _ => Err(ErrorCode::NOT_COORDINATOR),
        }
    }

    /// Handles a heartbeat of the consumer protocol. It is answered at once.
    pub(crate) fn beat(
        &self,
        group: &str,
        beat: &Beat,
        world: &World,
    ) -> Result<BeatReply, Refused> {
        if group.is_empty() {
            return Err((
                ErrorCode::INVALID_REQUEST,
                "GroupId can't be empty.".to_owned(),
            ));
        }
        let timing = self.timing;
        let joins = beat.epoch == 0;
        let act = |found: &mut Group| match found.consumer_group() {
            Some(group) => group.beat(Instant::now(), beat, world, timing),
            // A group with members of both protocols is not modelled.
            None => {
                let what = format!("Group {group} is not a consumer group.");
                Err((ErrorCode::GROUP_ID_NOT_FOUND, what))
            }
        };
        if joins {
            return self.with_new(group, act);
        }
        let unknown = || {
            let what = format!("Group {group} not found.");
            Err((ErrorCode::UNKNOWN_MEMBER_ID, what))
        };
        self.with(group, act).unwrap_or_else(unknown)
    }

    /// Ends the parked requests of a group that moved to another coordinator.
    pub(crate) fn coordinator_moved(&self, group: &str) {
        self.with(group, |group| {
            group.release(Instant::now(), ErrorCode::NOT_COORDINATOR);
        });
    }

    /// Ends the requests that were parked at a broker that went down.
    pub(crate) fn broker_down(&self, node: i32) {
        for name in self.names() {
            self.with(&name, |group| {
                if group.served_at() == node {
                    group.release(Instant::now(), ErrorCode::NOT_COORDINATOR);
                }
            });
        }
    }

    /// Removes a group. Returns true if it existed.
    pub(crate) fn delete(&self, group: &str) -> bool {
        self.state.lock().groups.remove(group).is_some()
    }

    /// Deletes the committed offsets of a topic in all groups.
    pub(crate) fn forget_topic(&self, topic: &str) {
        for group in self.state.lock().groups.values_mut() {
            group.offsets.forget_topic(topic);
        }
    }

    /// Returns the names of all groups.
    pub(crate) fn names(&self) -> Vec<String> {
        self.state.lock().groups.keys().cloned().collect()
    }

    /// Returns a group for inspection.
    pub(crate) fn view(&self, group: &str) -> Option<GroupView> {
        self.state.lock().groups.get(group).map(GroupView::of)
    }

    /// Returns the committed offset of a partition.
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<Committed> {
        self.state
            .lock()
            .groups
            .get(group)?
            .offsets
            .get(topic, partition)
            .cloned()
    }
}
