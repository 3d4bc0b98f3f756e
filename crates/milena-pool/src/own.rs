//! Connections that last: one per role, kept open between requests; shared by a cluster handle or one user's own.

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
        self.cluster.0.keep_up();
        let broker = self.cluster.0.broker(node)?;
        let slot = {
            let mut slots = self.slots.lock();
            let known = slots.len();
            let slot = Arc::clone(slots.entry((node, role)).or_default());
            if slots.len() > known {
                // Brokers come and go; those that are gone would pile up here.
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

/// A place for one connection; the turnstile lets one caller dial at a time.
pub(crate) struct Slot {
    turnstile: Semaphore,
    connection: Mutex<Option<Connection>>,
    failed: Mutex<Failed>,
}

/// How many dials have failed, and the error of the last.
#[derive(Default)]
struct Failed {
    count: u64,
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
    /// The connection, dialed when there is none that works or the broker has moved.
    pub(crate) async fn connection(&self, line: &Line) -> Result<Connection> {
        if let Some(open) = self.open(line) {
            return Ok(open);
        }
        let seen = self.failed.lock().count;
        let _turn = self.turnstile.acquire().await.map_err(|_| closed())?;
        if let Some(open) = self.open(line) {
            return Ok(open);
        }
        // Who waited while another caller dialed in vain has its answer: dialing in turn, the last of many would wait for all.
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

    fn open(&self, line: &Line) -> Option<Connection> {
        let slot = self.connection.lock();
        let open = slot.as_ref()?;
        let usable = !open.is_closed() && *open.address() == line.address;
        usable.then(|| open.clone())
    }
}
