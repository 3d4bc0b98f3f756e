//! What every connection of a client has in common: its name, its limits, its handshake.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Observers, WallClock};

use crate::handshake::{ApiVersionsStep, HandshakeStep};

/// Settings shared by the connections of a client.
#[derive(Clone)]
pub struct ConnectionOptions {
    /// `client.id`: the name in each request, for logs and quotas of the broker. Default `milena`.
    pub client_id: Option<Arc<str>>,
    /// `socket.connection.setup.timeout.ms`: how long dialing and handshake may take together.
    /// Default 10 s, as Kafka's clients.
    pub connect_timeout: Duration,
    /// `request.timeout.ms`: how long an answer may take unless a call says otherwise. Default 30 s.
    pub request_timeout: Duration,
    /// `connections.max.idle.ms`: a connection without requests for that long is closed. Default
    /// 9 min: just below the 10 min after which brokers close it.
    pub max_idle: Duration,
    /// The largest answer accepted, in bytes. Default 100 MiB.
    pub max_frame: usize,
    /// How many requests of one connection may be unanswered. Default 1024.
    pub max_in_flight: usize,
    /// What is done on a fresh stream before the first request, in order.
    pub steps: Vec<Arc<dyn HandshakeStep>>,
    /// Who is told of connections and requests.
    pub observers: Observers,
    /// The wall clock of all that shares the cluster. Default the system's.
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
