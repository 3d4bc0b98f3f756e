//! The brokers that cannot be reached now. Logs one line when a broker is lost and one when it is
//! back.

use std::collections::HashMap;
use std::sync::Arc;

use milena_core::{Address, Error, NodeId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The brokers that are lost now, each with the time of its loss. Clones share the list.
///
/// Dials go on for as long as a broker is away, but only the first failure is logged at `warn`. A
/// broker that the cluster removes from its metadata, as it does with dead brokers, stays lost
/// here.
#[derive(Clone, Default)]
pub(crate) struct Standing(Arc<Mutex<HashMap<NodeId, Instant>>>);

impl Standing {
    /// Notes that a dial failed, or that a connection broke while it had unanswered requests.
    ///
    /// Does nothing for a bootstrap address, which has no `node`. The metadata refresh logs that
    /// failure.
    pub(crate) fn lost(&self, node: Option<NodeId>, address: &Address, error: &Error, what: Loss) {
        let Some(node) = node else { return };
        let mut lost = self.0.lock();
        if lost.contains_key(&node) {
            return;
        }
        lost.insert(node, Instant::now());
        drop(lost);
        let node = node.to_wire();
        match what {
            Loss::Dial => {
                tracing::warn!(node, %address, %error, "a broker cannot be reached; trying again");
            }
            Loss::Connection => {
                tracing::warn!(node, %address, %error, "a connection to a broker was lost");
            }
        }
    }

    /// Notes that a dial succeeded.
    pub(crate) fn reached(&self, node: Option<NodeId>, address: &Address) {
        let Some(node) = node else { return };
        if let Some(since) = self.0.lock().remove(&node) {
            let (node, after) = (node.to_wire(), since.elapsed());
            tracing::info!(node, %address, ?after, "a broker can be reached again");
        }
    }
}

/// The way in which a broker was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A dial failed.
    Dial,
    /// A connection broke while it had unanswered requests.
    Connection,
}
