//! What a client holds of one broker: a connection per role, a pool for short requests, a backoff.

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

/// What a connection of its own is for. A broker answers a connection in order, one request at a
/// time, so that these must not wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Produce requests.
    Produce,
    /// Fetch requests, which park at the broker.
    Fetch,
    /// Joining and syncing a group, which park at the coordinator.
    Group,
    /// Heartbeats and commits, which must never wait.
    Heartbeat,
}

/// How connections of this client come about.
pub(crate) struct Dialer {
    pub(crate) connector: Arc<dyn Connect>,
    pub(crate) route: Arc<dyn Fn(&Address) -> Address + Send + Sync>,
    pub(crate) options: ConnectionOptions,
    pub(crate) backoff: Backoff,
    pub(crate) home: Home,
}

impl Dialer {
    /// Dials once, by the address map.
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

/// A broker and the connections to it.
pub(crate) struct Broker {
    pub(crate) line: Arc<Line>,
    slots: [Slot; 4],
    pool: Pool<Short>,
}

/// The way to a broker: dialing waits out the backoff.
pub(crate) struct Line {
    node: NodeId,
    pub(crate) address: Address,
    dialer: Arc<Dialer>,
    backoff: Mutex<NodeBackoff>,
}

/// How a pool is used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolStatus {
    pub(crate) size: usize,
    pub(crate) available: usize,
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

    /// The connection of `role`, dialed when there is none that works.
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

    /// A connection for one short request; waits while all are in use.
    pub(crate) async fn check_out(&self) -> Result<Object<Short>> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => closed(),
            other => Error::new(ErrorKind::Transport, other.to_string()),
        })
    }

    /// Whether a dial would start at once.
    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        self.line.backoff.lock().until(now).is_none()
    }

    /// How its connections for short requests are used.
    pub(crate) fn pool_status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus {
            size: status.size,
            available: status.available,
            waiting: status.waiting,
        }
    }

    /// How soon a short request would be served: 0 at once, 1 after a dial, 2 after others.
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

/// The `deadpool` manager of a broker's connections for short requests.
pub(crate) struct Short(Arc<Line>);

impl Manager for Short {
    type Type = Connection;
    type Error = Error;

    async fn create(&self) -> Result<Connection> {
        self.0.dial().await
    }

    /// Refuses what has ended, and what still owes an answer: brokers answer in order, so that the
    /// next request would wait behind the one that was given up.
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

/// Connections per broker for short requests: one slow answer never blocks all others, and a client
/// stays far below the brokers' connection limits.
const SHORT_CONNECTIONS: usize = 2;
