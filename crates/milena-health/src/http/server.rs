//! The server: serves so many connections and no more, and gives each its time and no longer.

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

/// A page that is being served. Dropped, it ends at once.
pub struct HttpServer {
    address: SocketAddr,
    stop: CancelToken,
    task: Option<JoinHandle<()>>,
}

impl HttpServer {
    pub(super) async fn start(builder: HttpBuilder) -> Result<Self> {
        let (asked, limits) = (builder.address, builder.limits);
        if !asked.ip().is_loopback() && builder.token.is_none() {
            tracing::warn!(address = %asked, "the health page is open to the network, and asks for no token");
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

    /// Where it listens, with the port that was taken.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it: what was asked is answered, within a second.
    ///
    /// Shut it down last, after the clients are closed: until then it tells that the program is alive and takes no more work.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // It ends by itself; a panic in it was told by the runtime.
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
                    // Out of descriptors, mostly: they come back.
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

/// The connections that are open, oldest first.
struct Open {
    most: usize,
    all: VecDeque<Waiting>,
}

/// A connection from its opening on.
#[derive(Clone, Default)]
struct Waiting {
    /// Its request has come.
    asked: Arc<AtomicBool>,
    /// It is to go, for others.
    shed: CancelToken,
    /// Held as long as the connection is.
    alive: Arc<()>,
}

impl Open {
    fn new(most: usize) -> Self {
        Self {
            most,
            all: VecDeque::new(),
        }
    }

    /// Takes on one more. Where there are too many, the one goes that has waited longest without having asked for anything: whoever
    /// opens connections and says nothing keeps no probe from being answered.
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
    fn is_open(&self) -> bool {
        Arc::strong_count(&self.alive) > 1
    }
}

/// One connection, one request.
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
    // Time to arrive, and as much to leave.
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

/// How often the health looks by itself.
const LOOK: Duration = Duration::from_secs(1);
/// How long answers under way may take at the end.
const LAST: Duration = Duration::from_secs(1);
