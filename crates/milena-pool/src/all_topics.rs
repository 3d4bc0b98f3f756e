//! A user's need for every topic of the cluster, for subscriptions by pattern.

use std::fmt;
use std::sync::{Arc, Weak};

use crate::cluster::Cluster;
use crate::core::ClusterCore;

/// Keeps every topic of the cluster in the metadata until it is dropped.
#[must_use = "the metadata holds every topic only while this is held"]
pub struct AllTopics(Weak<ClusterCore>);

impl Cluster {
    /// Keeps every topic of the cluster in the metadata while the result is held. Used for
    /// subscriptions by pattern.
    ///
    /// Requests a refresh unless another user wants all topics already. From then on each refresh
    /// transfers all topics, which costs every user of this handle.
    pub fn want_all_topics(&self) -> AllTopics {
        let first = self.core().wanted.lock().add_all();
        if first {
            self.request_refresh();
        }
        AllTopics(Arc::downgrade(self.core()))
    }
}

impl Drop for AllTopics {
    fn drop(&mut self) {
        if let Some(core) = self.0.upgrade() {
            core.wanted.lock().remove_all();
        }
    }
}

impl fmt::Debug for AllTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AllTopics").finish_non_exhaustive()
    }
}
