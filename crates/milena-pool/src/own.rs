//! Long-lived connections, one per broker and role, shared by a cluster handle or owned by one
//! user.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use milena_core::{Error, NodeId, Result};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::broker::{Line, Role};
use crate::cluster::Cluster;
use crate::connection::Connection;
use crate::tasks::closed;

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
        self.cluster.0.keep_up();
        let broker = self.cluster.0.broker(node)?;
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

/// A place for one connection. Only one caller dials at a time.
pub(crate) struct Slot {
    /// One permit, held by the caller that dials.
    turnstile: Semaphore,
    /// The connection dialed last. `None` before the first one. It may have ended.
    connection: Mutex<Option<Connection>>,
    /// The failed dials. Lets callers that waited for the permit share the error.
    failed: Mutex<Failed>,
}

/// Number of failed dials, and the error of the last one.
#[derive(Default)]
struct Failed {
    /// Number of failed dials so far.
    count: u64,
    /// The error of the last failed dial. `None` if none failed.
    last: Option<Error>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            turnstile: Semaphore::new(1),
            connection: Mutex::new(None),
            failed: Mutex::default(),
        }
    }
}

impl Slot {
    /// Returns the connection. Dials if there is no working one, or if the broker's address
    /// changed.
    pub(crate) async fn connection(&self, line: &Line) -> Result<Connection> {
        if let Some(open) = self.open(line) {
            return Ok(open);
        }
        let seen = self.failed.lock().count;
        let _turn = self.turnstile.acquire().await.map_err(|_| closed())?;
        if let Some(open) = self.open(line) {
            return Ok(open);
        }
        // Another caller failed to dial while this one waited, so this one gets the same error. If
        // each waiting caller dialed in turn, the last one would wait for all connect timeouts.
        {
            let failed = self.failed.lock();
            if failed.count > seen
                && let Some(error) = &failed.last
            {
                return Err(error.clone());
            }
        }
        let dialed = line.dial().await;
        match &dialed {
            Ok(fresh) => *self.connection.lock() = Some(fresh.clone()),
            Err(error) => {
                let mut failed = self.failed.lock();
                failed.count += 1;
                failed.last = Some(error.clone());
            }
        }
        dialed
    }

    /// Returns the connection if it works and leads to the broker's current address.
    fn open(&self, line: &Line) -> Option<Connection> {
        let slot = self.connection.lock();
        let open = slot.as_ref()?;
        let usable = !open.is_closed() && *open.address() == line.address;
        usable.then(|| open.clone())
    }
}
