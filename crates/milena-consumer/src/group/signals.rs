//! Requests from the user to the group's task while it runs, and the state that this task shares
//! with the other tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::GroupMembershipOperation;
use milena_pool::{AllTopics, Cluster};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::group::subscription::Subscription;

/// Values that the user, the group's task and the consumer's other tasks share.
pub(crate) struct Signals {
    /// The current subscription. Written by the user, watched by the group's task.
    pub(crate) subscription: watch::Sender<Subscription>,
    /// Number of rebalances that the user asked for, and the reason of the last one. The classic
    /// task joins again whenever it changes.
    pub(crate) rebalance: watch::Sender<(u64, String)>,
    /// The end of the membership. Set by the settings, replaced by `close_with`.
    pub(crate) on_close: Mutex<GroupMembershipOperation>,
    /// Member id that the coordinator may know this consumer by. `None` if it knows none. Only the
    /// group's task writes it. It is kept here so that the group can be left even after that task
    /// panicked.
    pub(crate) known_as: Mutex<Option<Arc<str>>>,
    /// True while the group uses the consumer protocol (KIP-848). The generation of a membership is
    /// then its member epoch. Written by the group's task at each choice of the protocol.
    pub(crate) coordinated: AtomicBool,
    /// Request to the cluster to fetch the metadata of all topics. `None` unless the subscription
    /// has a pattern.
    all_topics: Mutex<Option<AllTopics>>,
}

impl Signals {
    pub(crate) fn new(subscription: Subscription, on_close: GroupMembershipOperation) -> Self {
        Self {
            subscription: watch::Sender::new(subscription),
            rebalance: watch::Sender::new((0, String::new())),
            on_close: Mutex::new(on_close),
            known_as: Mutex::new(None),
            coordinated: AtomicBool::new(false),
            all_topics: Mutex::new(None),
        }
    }

    /// Requests the metadata that the subscription needs. A pattern needs every topic, names need
    /// those topics.
    pub(crate) fn follow(&self, cluster: &Cluster, subscription: &Subscription) {
        let wants_all = subscription.pattern.is_some();
        let mut held = self.all_topics.lock();
        if wants_all != held.is_some() {
            *held = wants_all.then(|| cluster.want_all_topics());
        }
        drop(held);
        cluster.want_topics(subscription.topics.iter().cloned());
    }

    /// Returns true under the consumer protocol (KIP-848), where the coordinator assigns and checks
    /// member id and epoch of a request.
    pub(crate) fn is_coordinated(&self) -> bool {
        self.coordinated.load(Ordering::Acquire)
    }

    /// Asks for a rebalance and records its reason.
    pub(crate) fn rebalance(&self, reason: &str) {
        self.rebalance.send_modify(|asked| {
            asked.0 += 1;
            reason.clone_into(&mut asked.1);
        });
    }
}
