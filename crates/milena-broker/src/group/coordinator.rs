//! All groups of the cluster: hands requests to them, parks what waits, and keeps their time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use milena_core::ErrorCode;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::commit::Committed;
use super::consumer::{Beat, BeatReply, Refused, Timing, World};
use super::join::{JoinReply, Joining};
use super::member::Ticket;
use super::state::{Group, Reply};
use super::sync::{SyncReply, Syncing};
use super::view::GroupView;
use crate::cluster::Cluster;
use crate::settings::Settings;

/// The groups.
#[derive(Debug)]
pub(crate) struct Coordinator {
    state: Mutex<State>,
    /// Rung when a deadline may have changed.
    changed: Arc<Notify>,
    initial_delay: Duration,
    sessions: (Duration, Duration),
    timing: Timing,
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<String, Group>,
    parked: HashMap<Ticket, oneshot::Sender<Reply>>,
    next_ticket: Ticket,
}

impl State {
    /// Hands due replies to those who wait for them.
    fn deliver(&mut self, replies: Vec<(Ticket, Reply)>) {
        for (ticket, reply) in replies {
            if let Some(waiter) = self.parked.remove(&ticket) {
                // A client that went away needs no answer.
                let _ = waiter.send(reply);
            }
        }
    }

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

    /// Starts the task that keeps the groups' time.
    pub(crate) fn start(&self, cluster: &Arc<Cluster>) {
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

    /// Lets time act on all groups; gives when to come back.
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

    /// Acts on a group that exists.
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

    /// Acts on a group, which comes into being where it is not there yet.
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

    /// Joins; waits until all members have, or the rebalance timeout has passed.
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
        match parked.await {
            Ok(Reply::Join(reply)) => reply,
            _ => refused(ErrorCode::NOT_COORDINATOR),
        }
    }

    /// Syncs; waits until the leader has assigned.
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

    /// Takes a heartbeat of the consumer protocol; answered at once.
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
            // Members of both protocols beside each other are not modelled.
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

    /// Another broker coordinates the group now: what is parked is sent there.
    pub(crate) fn coordinator_moved(&self, group: &str) {
        self.with(group, |group| {
            group.release(Instant::now(), ErrorCode::NOT_COORDINATOR);
        });
    }

    /// A broker went down: what was parked there is gone.
    pub(crate) fn broker_down(&self, node: i32) {
        for name in self.names() {
            self.with(&name, |group| {
                if group.served_at() == node {
                    group.release(Instant::now(), ErrorCode::NOT_COORDINATOR);
                }
            });
        }
    }

    /// Removes a group; gives whether there was one.
    pub(crate) fn delete(&self, group: &str) -> bool {
        self.state.lock().groups.remove(group).is_some()
    }

    pub(crate) fn forget_topic(&self, topic: &str) {
        for group in self.state.lock().groups.values_mut() {
            group.forget_topic(topic);
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state.lock().groups.keys().cloned().collect()
    }

    pub(crate) fn view(&self, group: &str) -> Option<GroupView> {
        Some(self.state.lock().groups.get(group)?.view())
    }

    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<Committed> {
        self.state
            .lock()
            .groups
            .get(group)?
            .committed(topic, partition)
            .cloned()
    }
}
