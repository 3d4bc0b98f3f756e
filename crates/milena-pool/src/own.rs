//! Connections that last: one per role, kept open between requests; shared by a cluster handle or one user's own.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use milena_core::{NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::broker::{Line, Role};
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::tasks::closed;

/// One user's own connections to the brokers of a cluster, a connection per broker and role.
///
/// For requests that park at a broker, such as Fetch and JoinGroup: a broker answers a connection one request at a time, so that two
/// users of one connection would wait for each other. They end when this is dropped, or with the cluster's handle.
pub struct OwnConnections {
    cluster: Cluster,
    slots: Mutex<HashMap<(NodeId, Role), Arc<Slot>>>,
}

impl OwnConnections {
    /// None yet; each is dialed at its first use.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            slots: Mutex::default(),
        }
    }

    /// The connection of `role` to `node`, dialed when there is none that works.
    ///
    /// # Errors
    /// As [`Cluster::connection`].
    pub async fn connection(&self, node: NodeId, role: Role) -> Result<Connection> {
        let broker = self.cluster.0.broker(node)?;
        let slot = Arc::clone(self.slots.lock().entry((node, role)).or_default());
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

/// A place for one connection; the turnstile lets one caller dial at a time.
pub(crate) struct Slot {
    turnstile: Semaphore,
    connection: Mutex<Option<Connection>>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            turnstile: Semaphore::new(1),
            connection: Mutex::new(None),
        }
    }
}

impl Slot {
    /// The connection, dialed when there is none that works or the broker has moved.
    pub(crate) async fn connection(&self, line: &Line) -> Result<Connection> {
        if let Some(open) = self.open(line) {
            return Ok(open);
        }
        let _turn = self.turnstile.acquire().await.map_err(|_| closed())?;
        if let Some(open) = self.open(line) {
            return Ok(open);
        }
        let fresh = line.dial().await?;
        *self.connection.lock() = Some(fresh.clone());
        Ok(fresh)
    }

    fn open(&self, line: &Line) -> Option<Connection> {
        let slot = self.connection.lock();
        let open = slot.as_ref()?;
        let usable = !open.is_closed() && *open.address() == line.address;
        usable.then(|| open.clone())
    }
}
