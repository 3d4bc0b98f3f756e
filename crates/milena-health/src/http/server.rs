//! The server of the page. It bounds the number of open connections and the time of each.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use milena_core::{CancelToken, Error, ErrorKind, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{HttpBuilder, Limits};
use crate::health::Health;

/// A page that is being served. Dropping it ends the page at once.
pub struct HttpServer {
    /// The address it listens at, with the real port.
    address: SocketAddr,
    /// Ends the serving task when it is cancelled.
    stop: CancelToken,
    /// The serving task. `None` once `shutdown` has taken it.
    task: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Binds the address and spawns the serving task.
    pub(super) async fn start(builder: HttpBuilder) -> Result<Self> {
        let (asked, limits) = (builder.address, builder.limits);
        if !asked.ip().is_loopback() && builder.token.is_none() {
            tracing::warn!(address = %asked, "the health page can be reached from the network without a token; set one by `HttpBuilder::token`");
        }
        let listener = TcpListener::bind(asked)
            .await
            .map_err(|cause| refused(asked, cause))?;
        let address = listener
            .local_addr()
            .map_err(|cause| refused(asked, cause))?;
        let health = builder.health.clone();
        let stop = CancelToken::new();
        let serving = serve(listener, builder.router(), limits, health, stop.clone());
        Ok(Self {
            address,
            stop,
            task: Some(tokio::spawn(serving)),
        })
    }

    /// Returns the address it listens at. The port is the real one if port 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the page. Requests that have arrived are answered, within a second.
    ///
    /// Shut it down last, after the clients are closed. Until then the page reports that the
    /// program is alive and takes no more work.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // The task ends by itself. If it panicked, tokio has reported that.
            let _ = task.await;
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Accepts connections until `stop`, and looks at the health once a second.
async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    health: Health,
    stop: CancelToken,
) {
    let mut connections = JoinSet::new();
    let mut open = Open::new(limits.connections);
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = looks.tick() => {
                // Looks between requests keep the health's memory of progress fresh.
                let _ = health.report();
            }
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let waiting = open.admit();
                    let (router, stop) = (router.clone(), stop.clone());
                    connections.spawn(one(stream, router, limits, stop, waiting));
                }
                Err(error) => {
                    // Mostly the process is out of file descriptors, which become free again.
                    tracing::debug!(%error, "a connection to the health page was not accepted");
                    sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    let _ = timeout(LAST, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

/// The open connections, oldest first.
struct Open {
    /// The largest number of open connections.
    most: usize,
    /// The connections that were admitted. Closed ones are removed when another one is admitted.
    all: VecDeque<Waiting>,
}

/// The state of one connection, shared by its task and by [`Open`].
#[derive(Clone, Default)]
struct Waiting {
    /// True once its request has arrived. Set by the connection's task.
    asked: Arc<AtomicBool>,
    /// Cancelled to close the connection in favour of another one.
    shed: CancelToken,
    /// Held by the connection's task while the connection is open.
    alive: Arc<()>,
}

impl Open {
    fn new(most: usize) -> Self {
        Self {
            most,
            all: VecDeque::new(),
        }
    }

    /// Admits one more connection. At the limit, closes the oldest one that has sent no request
    /// yet, or the oldest of all.
    ///
    /// Connections that stay silent therefore cannot keep a probe from its answer.
    fn admit(&mut self) -> Waiting {
        self.all.retain(Waiting::is_open);
        if self.all.len() >= self.most {
            let silent = |one: &Waiting| !one.asked.load(Ordering::Acquire);
            let oldest = self.all.iter().position(silent).unwrap_or(0);
            if let Some(oldest) = self.all.remove(oldest) {
                oldest.shed.cancel();
            }
        }
        let waiting = Waiting::default();
        self.all.push_back(waiting.clone());
        waiting
    }
}

impl Waiting {
    /// Returns true while the connection's task lives.
    fn is_open(&self) -> bool {
        Arc::strong_count(&self.alive) > 1
    }
}

/// Serves one request on one connection.
async fn one(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    stop: CancelToken,
    waiting: Waiting,
) {
    let asked = Arc::clone(&waiting.asked);
    let router = router.layer(from_fn(move |request: Request, next: Next| {
        asked.store(true, Ordering::Release);
        next.run(request)
    }));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.time)
        .max_buf_size(limits.header_bytes)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut serving = pin!(serving);
    // Time for the request to arrive, and as much for the answer to leave.
    let whole = timeout(limits.time * 2, async {
        tokio::select! {
            biased;
            ended = serving.as_mut() => ended,
            () = waiting.shed.cancelled() => Ok(()),
            () = stop.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        }
    });
    match whole.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a request to the health page failed"),
        Err(_) => tracing::debug!("a request to the health page took too long"),
    }
}

/// Returns the error for an address that cannot be bound.
fn refused(address: SocketAddr, cause: io::Error) -> Error {
    let what = match cause.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "the health page cannot listen at {address}: the port is in use; choose another, or 0 for a free one"
            )
        }
        _ => format!("the health page cannot listen at {address}: {cause}"),
    };
    Error::new(ErrorKind::Config, what).with_source(cause)
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The time between two looks that the server makes by itself.
const LOOK: Duration = Duration::from_secs(1);
/// The time that unfinished answers get at shutdown.
const LAST: Duration = Duration::from_secs(1);
