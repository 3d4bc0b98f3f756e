//! The connections to one broker: one per role, a pool for short requests, and a dial backoff.

use std::sync::Arc;

use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use milena_core::{Address, Backoff, Error, ErrorKind, NodeId, Persistence, Result};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::connect::Connect;
use crate::connection::{Connection, Destination, Home};
use crate::node_backoff::NodeBackoff;
use crate::options::ConnectionOptions;
use crate::own::Slot;
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

/// The settings with which a cluster handle dials.
pub(crate) struct Dialer {
    /// Opens the streams.
    pub(crate) connector: Arc<dyn Connect>,
    /// The address map. Returns the address to dial for an advertised address.
    pub(crate) route: Arc<dyn Fn(&Address) -> Address + Send + Sync>,
    /// The settings of each connection.
    pub(crate) options: ConnectionOptions,
    /// The waits between dials to one broker, `reconnect.backoff.ms`.
    pub(crate) backoff: Backoff,
    /// The state shared by all connections of the handle.
    pub(crate) home: Home,
}

impl Dialer {
    /// Dials once, with the address map applied.
    pub(crate) async fn dial(&self, address: &Address, node: Option<NodeId>) -> Result<Connection> {
        let route = (self.route)(address);
        let to = Destination {
            address,
            route: &route,
            node,
        };
        let opened = Connection::open_in(&*self.connector, to, &self.options, &self.home).await;
        opened.map_err(|error| error.with_persistence(Persistence::NotWritten))
    }
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

/// The path to a broker. Dials wait until the backoff is over.
pub(crate) struct Line {
    /// The broker's number.
    node: NodeId,
    /// The address that the broker advertises.
    pub(crate) address: Address,
    /// The settings with which to dial.
    dialer: Arc<Dialer>,
    /// The failed dials and the wait that follows from them.
    backoff: Mutex<NodeBackoff>,
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
        let line = Arc::new(Line {
            node,
            address,
            dialer,
            backoff: Mutex::default(),
        });
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
        self.line.backoff.lock().until(now).is_none()
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

impl Line {
    /// Waits until the backoff is over, then dials.
    pub(crate) async fn dial(&self) -> Result<Connection> {
        let until = self.backoff.lock().until(Instant::now());
        if let Some(until) = until {
            sleep_until(until).await;
        }
        let dialed = self.dialer.dial(&self.address, Some(self.node)).await;
        let mut backoff = self.backoff.lock();
        match &dialed {
            Ok(_) => backoff.succeeded(),
            Err(_) => backoff.failed(Instant::now(), &self.dialer.backoff),
        }
        dialed
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
