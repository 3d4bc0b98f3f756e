//! The HTTP page, with its paths, its access check and the bounds of requests.

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

/// The settings of the page of a [`Health`]. [`Health::http`] makes it.
#[derive(Clone)]
#[must_use = "nothing is served before `serve`"]
pub struct HttpBuilder {
    /// The health to show.
    health: Health,
    /// The address to listen at.
    address: SocketAddr,
    /// The token that every request must carry. `None` admits everyone.
    token: Option<Arc<str>>,
    /// The text of `/metrics`. `None` leaves the path out.
    metrics: Option<Page>,
    /// The bounds of requests.
    limits: Limits,
}

/// A function that makes the text of a page for each request.
type Page = Arc<dyn Fn() -> String + Send + Sync>;

/// The bounds of requests.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The largest number of open connections. At least 1.
    connections: usize,
    /// The time for a request to arrive, and again for its answer to leave.
    time: Duration,
    /// The largest size of a request line with its headers, in bytes. At least 8 KiB.
    header_bytes: usize,
}

impl Health {
    /// Begins to set up the HTTP page.
    pub fn http(&self) -> HttpBuilder {
        HttpBuilder::new(self.clone())
    }
}

impl HttpBuilder {
    /// Begins with the defaults.
    fn new(health: Health) -> Self {
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

    /// Sets the address to listen at. Default `127.0.0.1:9404`, which only this machine can reach,
    /// so that it needs no token.
    ///
    /// Port 0 takes a free port, which a second program on the same machine needs. In a container,
    /// probes and Prometheus come from outside. Listen at `0.0.0.0` there, and set a token.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Answers only requests with `Authorization: Bearer TOKEN`. By default no token is needed.
    ///
    /// The comparison takes constant time, so that a caller cannot find the token by trying parts
    /// of it.
    pub fn token(mut self, token: impl Into<Arc<str>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the text that `/metrics` answers with, in Prometheus' text format. It is made anew for
    /// each request. By default there is no such path.
    pub fn metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(text));
        self
    }

    /// Sets the largest number of open connections. Default 64, at least 1.
    ///
    /// One connection more closes the oldest one that has not sent a request yet. Silent
    /// connections therefore cannot keep a probe from its answer.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections.max(1);
        self
    }

    /// Sets the time that a request may take to arrive, and that its answer may take to leave.
    /// Default 5 s.
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.limits.time = time;
        self
    }

    /// Sets the largest size in bytes of a request line with its headers. Default 16 KiB, at least
    /// 8 KiB. A request with a body is refused, whatever its size.
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.limits.header_bytes = bytes.max(8 << 10);
        self
    }

    /// Returns the page as a router for an axum program. The program's server then sets the limits
    /// of requests. The token is checked in any case.
    pub fn router(self) -> Router {
        let router = router::router(self.health, self.metrics);
        guard::guarded(router, self.token)
    }

    /// Listens and serves in a task of its own, until [`HttpServer::shutdown`] or until the server
    /// is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) if the address cannot be used, for
    /// example because the port is in use.
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
