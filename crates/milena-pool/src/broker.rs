//! The connections to one broker: one per role, and a pool for short requests.

use std::sync::Arc;

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use milena_core::{Address, Error, ErrorKind, NodeId, Result};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::line::{Dialer, Line};
use crate::slot::Slot;
use crate::tasks::closed;

/// The purpose of a connection. A broker answers the requests of a connection one at a time, so
/// requests of different roles must not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Produce requests.
    Produce,
    /// Fetch requests, which block at the broker.
    Fetch,
    /// Joining and syncing a group. These requests block at the coordinator.
    Group,
    /// Heartbeats and commits, which must not wait for other requests.
    Heartbeat,
}

/// A broker and the connections to it. A broker whose address changes gets a new value.
pub(crate) struct Broker {
    /// The path to the broker, shared by slots and pool.
    pub(crate) line: Arc<Line>,
    /// The long-lived connections, in the order of [`Role`].
    slots: [Slot; 4],
    /// The connections for short requests.
    pool: Pool<Short>,
}

/// The use of a pool.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolStatus {
    /// Number of connections.
    pub(crate) size: usize,
    /// Number of connections that are free.
    pub(crate) available: usize,
    /// Number of callers that wait for a connection.
    pub(crate) waiting: usize,
}

impl Broker {
    pub(crate) fn new(node: NodeId, address: Address, dialer: Arc<Dialer>) -> Result<Self> {
        let line = Arc::new(Line::new(node, address, dialer));
        let pool = Pool::builder(Short(line.clone()))
            .max_size(SHORT_CONNECTIONS)
            .build()
            .map_err(|error| Error::new(ErrorKind::Config, error.to_string()).node(node))?;
        Ok(Self {
            line,
            slots: Default::default(),
            pool,
        })
    }

    /// Returns the connection of `role`. Dials if there is no working one.
    pub(crate) async fn connection(&self, role: Role) -> Result<Connection> {
        let [produce, fetch, group, heartbeat] = &self.slots;
        let slot = match role {
            Role::Produce => produce,
            Role::Fetch => fetch,
            Role::Group => group,
            Role::Heartbeat => heartbeat,
        };
        slot.connection(&self.line).await
    }

    /// Takes a connection for one short request. Waits while all are in use.
    pub(crate) async fn check_out(&self) -> Result<Object<Short>> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => closed(),
            other => Error::new(ErrorKind::Transport, other.to_string()),
        })
    }

    /// Returns true if a dial would start at once, without backoff.
    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        self.line.is_ready(now)
    }

    /// Returns the use of the pool for short requests.
    pub(crate) fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus {
            size: status.size,
            available: status.available,
            waiting: status.waiting,
        }
    }

    /// Returns how soon a short request can be sent: 0 at once, 1 after a dial, 2 after other
    /// requests.
    pub(crate) fn rank(&self) -> u8 {
        let short = self.pool.status();
        match (short.available, short.size) {
            (1.., _) => 0,
            (0, size) if size < short.max_size => 1,
            _ => 2,
        }
    }
}

/// Creates and checks the connections for short requests, for `deadpool`.
pub(crate) struct Short(Arc<Line>);

impl Manager for Short {
    type Type = Connection;
    type Error = Error;

    async fn create(&self) -> Result<Connection> {
        self.0.dial().await
    }

    /// Refuses a connection that has ended or has an unanswered request. Brokers answer in order,
    /// so the next request would wait for the answer to a request whose caller gave up.
    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Error> {
        if connection.is_closed() {
            return Err(RecycleError::message("the connection has ended"));
        }
        if connection.in_flight() > 0 {
            return Err(RecycleError::message("an answer is outstanding"));
        }
        Ok(())
    }
}

/// Connections per broker for short requests. With two, one slow answer does not block all others,
/// and a client stays far below the brokers' connection limits.
const SHORT_CONNECTIONS: usize = 2;
