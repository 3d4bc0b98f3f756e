//! Which brokers cannot be reached now, for the log: one line when a broker is lost, one when it is back.

use std::collections::HashMap;
use std::sync::Arc;

use milena_core::{Address, Error, NodeId};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The brokers that are lost at present, and since when. A clone is the same.
///
/// Tries go on for as long as a broker is away; only the first that fails is told at `warn`. A broker stays lost here when the cluster
/// leaves it out of its metadata, as it does with dead ones.
#[derive(Clone, Default)]
pub(crate) struct Standing(Arc<Mutex<HashMap<NodeId, Instant>>>);

impl Standing {
    /// Notes that a connection could not be made, or ended by a fault while answers were awaited on it.
    ///
    /// Bootstrap addresses have no `node`, and no line of their own: the renewal that they are asked for tells of them.
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

    /// Notes that a connection was made.
    pub(crate) fn reached(&self, node: Option<NodeId>, address: &Address) {
        let Some(node) = node else { return };
        if let Some(since) = self.0.lock().remove(&node) {
            let (node, after) = (node.to_wire(), since.elapsed());
            tracing::info!(node, %address, ?after, "a broker is reached again");
        }
    }
}

/// How a broker was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It could not be dialed.
    Dial,
    /// A connection to it ended by a fault while answers were awaited.
    Connection,
}
