//! The path to a broker: how it is dialed, and the backoff between dials.

use std::sync::Arc;

use milena_core::{Address, Backoff, NodeId, Persistence, Result};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::connect::Connect;
use crate::connection::{Connection, Destination, Home};
use crate::node_backoff::NodeBackoff;
use crate::options::ConnectionOptions;

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

impl Line {
    pub(crate) fn new(node: NodeId, address: Address, dialer: Arc<Dialer>) -> Self {
        Self {
            node,
            address,
            dialer,
            backoff: Mutex::default(),
        }
    }

    /// Returns true if a dial would start at once, without backoff.
    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        self.backoff.lock().until(now).is_none()
    }

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
