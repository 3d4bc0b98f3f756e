//! What the user asks of the group's task while it runs (another subscription, a rebalance, how to end), and what it tells others.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use milena_pool::{AllTopics, Cluster};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::subscription::Subscription;

/// What becomes of the membership when the consumer closes.
///
/// # References
/// KIP-1092.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupMembershipOperation {
    /// A dynamic member leaves, a static one stays. The default.
    #[default]
    Default,
    /// The group is left, by a static member too: its partitions go to others at once.
    LeaveGroup,
    /// The group is not left: partitions stay where they are until the session runs out. For a restart that is over before that.
    RemainInGroup,
}

impl GroupMembershipOperation {
    pub(crate) fn leaves(self, is_static: bool) -> bool {
        match self {
            Self::Default => !is_static,
            Self::LeaveGroup => true,
            Self::RemainInGroup => false,
        }
    }
}

/// What the group's task and the others tell each other.
pub(crate) struct Signals {
    pub(crate) subscription: watch::Sender<Subscription>,
    /// Counts the rebalances asked for, with the last reason.
    pub(crate) rebalance: watch::Sender<(u64, String)>,
    pub(crate) on_close: Mutex<GroupMembershipOperation>,
    /// The id by which the coordinator may count this consumer among its members; `None` where it does not. Written by the group's task
    /// alone; kept here so that the group is left after a panic of that task, too.
    pub(crate) known_as: Mutex<Option<Arc<str>>>,
    /// Whether the group is of the consumer protocol (KIP-848): the generation of a membership is its member epoch then.
    pub(crate) coordinated: AtomicBool,
    /// Held while the subscription is by a pattern: the picture of the cluster shows every topic then.
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

    /// Has the picture of the cluster show what the subscription is about: by a pattern every topic, and its names.
    pub(crate) fn follow(&self, cluster: &Cluster, subscription: &Subscription) {
        let wants_all = subscription.pattern.is_some();
        let mut held = self.all_topics.lock();
        if wants_all != held.is_some() {
            *held = wants_all.then(|| cluster.want_all_topics());
        }
        drop(held);
        cluster.want_topics(subscription.topics.iter().cloned());
    }

    /// Asks for a rebalance.
    pub(crate) fn rebalance(&self, reason: &str) {
        self.rebalance.send_modify(|asked| {
            asked.0 += 1;
            reason.clone_into(&mut asked.1);
        });
    }
}
