//! The HTTP page: what it serves, who may see it, and the bounds of requests.

mod guard;
mod router;
mod server;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use milena_core::Result;

use crate::health::Health;

pub use server::HttpServer;

/// Sets up the page of a [`Health`]. Begun by [`Health::http`].
#[derive(Clone)]
#[must_use = "nothing is served before `serve`"]
pub struct HttpBuilder {
    health: Health,
    address: SocketAddr,
    token: Option<Arc<str>>,
    metrics: Option<Page>,
    limits: Limits,
}

/// Text that is made when someone asks.
type Page = Arc<dyn Fn() -> String + Send + Sync>;

/// The bounds of requests.
#[derive(Clone, Copy, Debug)]
struct Limits {
    connections: usize,
    time: Duration,
    header_bytes: usize,
}

impl HttpBuilder {
    pub(crate) fn new(health: Health) -> Self {
        Self {
            health,
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9404),
            token: None,
            metrics: None,
            limits: Limits {
                connections: 64,
                time: Duration::from_secs(5),
                header_bytes: 16 << 10,
            },
        }
    }

    /// Where it listens; port 0 takes a free one, which a second program on one machine needs. Default `127.0.0.1:9404`: what only this
    /// machine can reach needs no token. In a container, probes and Prometheus come from outside: listen at `0.0.0.0`, with a token.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Answers only requests with `Authorization: Bearer TOKEN`. Default none needed.
    ///
    /// It is compared in a time that does not tell how much of it was right.
    pub fn token(mut self, token: impl Into<Arc<str>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// What `/metrics` answers, in Prometheus' text format; made anew for each request. Default there is no such path.
    pub fn metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(text));
        self
    }

    /// How many connections are open at once; at least 1. Default 64. One more closes that which has been open longest without asking for
    /// anything, so that silent ones keep no probe from its answer.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections.max(1);
        self
    }

    /// How long a request may take to arrive, and its answer to leave. Default 5 s.
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.limits.time = time;
        self
    }

    /// The most bytes of a request line with its headers; at least 8 KiB. Default 16 KiB. A request with a body is refused, whatever
    /// its size.
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.limits.header_bytes = bytes.max(8 << 10);
        self
    }

    /// The page as a router, to mount into an axum program, whose limits hold then. The token is asked for all the same.
    pub fn router(self) -> Router {
        let router = router::router(self.health, self.metrics);
        guard::guarded(router, self.token)
    }

    /// Listens and serves, beside the caller, until [`HttpServer::shutdown`] or the server is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) where the address cannot be used: the port is in use, or not allowed.
    pub async fn serve(self) -> Result<HttpServer> {
        HttpServer::start(self).await
    }
}

impl fmt::Debug for HttpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBuilder")
            .field("address", &self.address)
            .field("token", &self.token.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
