//! Changes of leaders and replicas. Brokers go down and come back, leaders move, and followers fall
//! behind.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::cluster::Cluster;
use crate::partition::{Partition, PartitionState};
use crate::topic::Topic;

impl Cluster {
    /// Makes `node` the leader of a partition. Returns true if the partition and the broker exist.
    pub(crate) fn move_leader(&self, topic: &str, index: i32, node: i32) -> bool {
        let (Some(partition), Some(_)) = (self.partition(topic, index), self.node(node)) else {
            return false;
        };
        let mut state = partition.lock();
        if !state.replicas.all().contains(&node) {
            // A broker without a replica gets the old leader's one, as by a reassignment.
            let old = state.leader;
            state.replicas.replace(old, node);
        }
        self.lead(&mut state, Some(node));
        drop(state);
        partition.wake();
        true
    }

    /// Takes a broker down. Other brokers take over its partitions and groups if they can.
    pub(crate) fn broker_down(&self, id: i32) {
        let Some(node) = self.node(id) else {
            return;
        };
        if !node.stop() {
            return;
        }
        if self.controller() == id {
            self.set_controller(self.up().next().map_or(-1, |node| node.id));
        }
        self.each_partition(|topic, partition| {
            let mut state = partition.lock();
            let led = state.leader == Some(id);
            if led {
                let unclean = topic.config.read().unclean_election();
                let next = state.replicas.candidate(|id| self.is_up(id), unclean);
                self.lead(&mut state, next);
            }
            let end = state.log.end();
            state.replicas.stop(id, end);
            state.replicas.leave(id);
            drop(state);
            partition.wake();
        });
        self.groups.broker_down(id);
    }

    /// Brings a broker back, which leads partitions that no other could lead meanwhile. Returns
    /// true if it was down.
    pub(crate) fn broker_up(&self, id: i32) -> bool {
        let Some(node) = self.node(id) else {
            return false;
        };
        if !node.start(&self.stop) {
            return false;
        }
        if self.controller() < 0 {
            self.set_controller(id);
        }
        self.each_partition(|topic, partition| {
            let mut state = partition.lock();
            state.replicas.resume(id);
            if state.leader.is_none() && state.replicas.all().contains(&id) {
                let unclean = topic.config.read().unclean_election();
                let next = state.replicas.candidate(|id| self.is_up(id), unclean);
                if next.is_some() {
                    self.lead(&mut state, next);
                }
            }
            self.catch_up(&mut state);
            drop(state);
            partition.wake();
        });
        true
    }

    /// Changes the leader, one epoch later. Replicas on brokers that are up catch up with it.
    fn lead(&self, state: &mut PartitionState, leader: Option<i32>) {
        state.elect(leader);
        self.catch_up(state);
    }

    /// Lets all replicas catch up that are up and not stopped.
    fn catch_up(&self, state: &mut PartitionState) {
        if state.leader.is_none() {
            return;
        }
        for id in state.replicas.all().to_vec() {
            if self.is_up(id) {
                state.replicas.catch_up(id);
            }
        }
    }

    /// Stops a follower from fetching. It leaves the in-sync replicas once it lags and the lag time
    /// is over. Returns true if there is such a follower.
    pub(crate) fn stop_replica(self: &Arc<Self>, topic: &str, index: i32, node: i32) -> bool {
        let Some(partition) = self.follower(topic, index, node) else {
            return false;
        };
        let mut state = partition.lock();
        let end = state.log.end();
        state.replicas.hold(node, end);
        drop(state);
        let lag = self.settings.replica_lag_time_max;
        self.tasks.spawn(fall_out(partition, node, lag));
        true
    }

    /// Removes a replica from the in-sync replicas at once.
    pub(crate) fn shrink_in_sync(&self, topic: &str, index: i32, node: i32) -> bool {
        let Some(partition) = self.follower(topic, index, node) else {
            return false;
        };
        let mut state = partition.lock();
        let end = state.log.end();
        state.replicas.hold(node, end);
        state.replicas.leave(node);
        drop(state);
        partition.wake();
        true
    }

    /// Lets a stopped replica fetch again.
    pub(crate) fn resume_replica(&self, topic: &str, index: i32, node: i32) -> bool {
        let Some(partition) = self.partition(topic, index) else {
            return false;
        };
        let mut state = partition.lock();
        state.replicas.resume(node);
        self.catch_up(&mut state);
        drop(state);
        partition.wake();
        true
    }

    /// Returns the partition if `node` has a replica of it and does not lead it.
    fn follower(&self, topic: &str, index: i32, node: i32) -> Option<Arc<Partition>> {
        let partition = self.partition(topic, index)?;
        let state = partition.lock();
        let follows = state.leader != Some(node) && state.replicas.all().contains(&node);
        drop(state);
        follows.then_some(partition)
    }

    /// Runs `act` on every partition.
    fn each_partition(&self, mut act: impl FnMut(&Topic, &Partition)) {
        for topic in self.topics() {
            for partition in topic.all() {
                act(&topic, &partition);
            }
        }
    }
}

/// Removes `node` from the in-sync replicas once it has not fetched for `lag` and lacks records.
async fn fall_out(partition: Arc<Partition>, node: i32, lag: Duration) {
    tokio::time::sleep(lag).await;
    let wake = Arc::new(Notify::new());
    loop {
        partition.watch(&wake);
        {
            let mut state = partition.lock();
            let end = state.log.end();
            if state.deleted || !state.replicas.is_stopped(node) {
                break;
            }
            if state.replicas.lags(node, end) {
                state.replicas.leave(node);
                drop(state);
                partition.wake();
                break;
            }
        }
        wake.notified().await;
    }
    partition.unwatch(&wake);
}
