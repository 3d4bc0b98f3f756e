//! Settings that all connections of a client share: its name, its limits, its handshake.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Observers, WallClock};

use crate::handshake::{ApiVersionsStep, HandshakeStep};

/// Settings shared by the connections of a client.
#[derive(Clone)]
pub struct ConnectionOptions {
    /// `client.id`: the name in each request, for logs and quotas of the broker. Default `milena`.
    /// `None` sends none.
    pub client_id: Option<Arc<str>>,
    /// `socket.connection.setup.timeout.ms`: the longest time for dialing and handshake together.
    /// Default 10 s, as in Kafka's clients.
    pub connect_timeout: Duration,
    /// `request.timeout.ms`: the longest time for an answer, unless a call has its own limit.
    /// Default 30 s.
    pub request_timeout: Duration,
    /// `connections.max.idle.ms`: a connection without requests for that long is closed. Default 9
    /// min, because brokers close idle connections after 10 min.
    pub max_idle: Duration,
    /// The largest answer accepted, in bytes. Default 100 MiB.
    pub max_frame: usize,
    /// The most unanswered requests on one connection. Default 1024.
    pub max_in_flight: usize,
    /// The steps of the handshake, in order.
    pub steps: Vec<Arc<dyn HandshakeStep>>,
    /// The observers that receive the events of connections and requests.
    pub observers: Observers,
    /// The wall clock of all users of the cluster. Default the system clock.
    pub clock: WallClock,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            client_id: Some("milena".into()),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_idle: Duration::from_secs(540),
            max_frame: milena_protocol::frame::DEFAULT_MAX_FRAME,
            max_in_flight: 1_024,
            steps: vec![Arc::new(ApiVersionsStep::default())],
            observers: Observers::none(),
            clock: WallClock::default(),
        }
    }
}

impl std::fmt::Debug for ConnectionOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectionOptions")
            .field("client_id", &self.client_id)
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("max_idle", &self.max_idle)
            .finish_non_exhaustive()
    }
}
