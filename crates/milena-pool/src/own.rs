//! Long-lived connections, one per broker and role, owned by one user.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use milena_core::{NodeId, Result};
use parking_lot::Mutex;

use crate::broker::Role;
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::slot::Slot;

/// Connections to the brokers of a cluster that belong to one user, one per broker and role.
///
/// Use them for requests that block at a broker, such as Fetch and JoinGroup. A broker answers the
/// requests of a connection one at a time, so two users of one connection would wait for each
/// other. The connections end when this is dropped, or with the cluster handle.
pub struct OwnConnections {
    /// The cluster. Knows the brokers' addresses.
    cluster: Cluster,
    /// The slots of the connections. Slots of brokers that left the metadata are removed.
    slots: Mutex<HashMap<(NodeId, Role), Arc<Slot>>>,
}

impl OwnConnections {
    /// Creates an empty set. Each connection is dialed at its first use.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            slots: Mutex::default(),
        }
    }

    /// Returns the connection of `role` to `node`. Dials if there is no working one.
    ///
    /// # Errors
    /// The errors of [`Cluster::connection`].
    pub async fn connection(&self, node: NodeId, role: Role) -> Result<Connection> {
        self.cluster.keep_up();
        let broker = self.cluster.core().broker(node)?;
        let slot = {
            let mut slots = self.slots.lock();
            let known = slots.len();
            let slot = Arc::clone(slots.entry((node, role)).or_default());
            if slots.len() > known {
                // Brokers may leave the cluster. Their slots would otherwise never be removed.
                let metadata = self.cluster.metadata();
                slots.retain(|(held, _), _| *held == node || metadata.broker(*held).is_some());
            }
            slot
        };
        let opened = slot.connection(&broker.line).await;
        self.cluster.note_dial(&opened);
        opened
    }
}

impl fmt::Debug for OwnConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnConnections").finish_non_exhaustive()
    }
}
