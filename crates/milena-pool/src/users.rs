//! The users of a cluster, which are ended in order before its connections are closed.

use std::sync::{Arc, Weak};

use milena_core::Gauge;
use parking_lot::Mutex;

use crate::connect::BoxFuture;

/// A user of a cluster, such as a producer or a consumer, that works until it is closed.
pub trait ClusterUser: Send + Sync + 'static {
    /// Ends the user in an orderly way, within its own time limit. A second call waits for the same
    /// end.
    fn end(self: Arc<Self>) -> BoxFuture<'static, ()>;

    /// Passes the user's figures to `sink`. By default there are none.
    fn read_gauges(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let _ = sink;
    }
}

/// The stage in which a user is ended. Readers end before writers, because their last records may
/// cause writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndStage {
    /// Consumers. They finish their records, commit and leave their group.
    Readers,
    /// Producers. They deliver the records that they accepted.
    Writers,
}

/// The users with their stages. Users that were dropped are removed when another one is added.
#[derive(Default)]
pub(crate) struct Users(Mutex<Vec<(EndStage, Weak<dyn ClusterUser>)>>);

impl Users {
    pub(crate) fn add(&self, stage: EndStage, user: Weak<dyn ClusterUser>) {
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

    /// Ends all users in order, stage by stage. The users of one stage end concurrently.
    pub(crate) async fn end(&self) {
        for stage in [EndStage::Readers, EndStage::Writers] {
            let ending = self.of(stage).into_iter().map(ClusterUser::end);
            futures_util::future::join_all(ending).await;
        }
    }
}
