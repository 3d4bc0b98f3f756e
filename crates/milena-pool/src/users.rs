//! Who uses a cluster and ends in good order before its connections do.

use std::sync::{Arc, Weak};

use milena_core::Gauge;
use parking_lot::Mutex;

use crate::cluster::Cluster;
use crate::connect::BoxFuture;

/// A producer, a consumer or another who works over a cluster until it is closed.
pub trait ClusterUser: Send + Sync + 'static {
    /// Ends in good order, within a limit of its own; called again, waits for the same end.
    fn end(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// Shows its figures to `sink`. Default none.
    fn read_gauges(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let _ = sink;
    }
}

/// When a user ends: those who read end first, since what they do last may be to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndStage {
    /// Consumers: they drain, commit and leave.
    Readers,
    /// Producers: they deliver what they accepted.
    Writers,
}

/// The users that are alive.
#[derive(Default)]
pub(crate) struct Users(Mutex<Vec<(EndStage, Weak<dyn ClusterUser>)>>);

impl Users {
    fn add(&self, stage: EndStage, user: Weak<dyn ClusterUser>) {
        let mut users = self.0.lock();
        users.retain(|(_, user)| user.strong_count() > 0);
        users.push((stage, user));
    }

    fn of(&self, wanted: EndStage) -> Vec<Arc<dyn ClusterUser>> {
        let users = self.0.lock();
        let of_stage = users.iter().filter(|(stage, _)| *stage == wanted);
        of_stage.filter_map(|(_, user)| user.upgrade()).collect()
    }

    pub(crate) fn all(&self) -> Vec<Arc<dyn ClusterUser>> {
        let users = self.0.lock();
        users
            .iter()
            .filter_map(|(_, user)| user.upgrade())
            .collect()
    }
}

impl Cluster {
    /// Has `user` ended by [`end_users`](Self::end_users), if it is still there then.
    pub fn add_user(&self, stage: EndStage, user: Weak<dyn ClusterUser>) {
        self.0.users.add(stage, user);
    }

    /// Ends all users in good order, stage by stage, those of a stage beside each other. Connections stay.
    ///
    /// # Cancel safety
    /// Dropped, who was told to end goes on ending.
    pub async fn end_users(&self) {
        for stage in [EndStage::Readers, EndStage::Writers] {
            let ending = self.0.users.of(stage).into_iter().map(ClusterUser::end);
            futures_util::future::join_all(ending).await;
        }
    }
}
