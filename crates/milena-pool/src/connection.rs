//! A connection to one broker: pipelined requests, each with its answer and a deadline.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use milena_core::{Address, Error, ErrorKind, Event, NodeId, Persistence, Result};
use milena_protocol::{ApiKey, BrokerVersions, Request, request, response};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::connect::Connect;
use crate::driver::{Driver, Peer};
use crate::handshake::Link;
use crate::options::ConnectionOptions;
use crate::outgoing::{Answer, Expected, Outgoing, Shared, Watch};
use crate::standing::{Loss, Standing};
use crate::tasks::Tasks;
use crate::throttle;

/// The destination of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// The address that the broker advertises.
    pub(crate) address: &'a Address,
    /// The address that is dialed instead, from the address map.
    pub(crate) route: &'a Address,
    /// The broker. `None` for a bootstrap address.
    pub(crate) node: Option<NodeId>,
}

/// State shared by the connections of a cluster handle.
#[derive(Clone, Default)]
pub(crate) struct Home {
    /// The tasks of the connections. Closing the handle ends them.
    pub(crate) tasks: Tasks,
    /// The brokers that cannot be reached now, for the log.
    pub(crate) standing: Standing,
}

/// A connection to a broker. Clones share it.
///
/// It ends when the last clone is dropped and every request is answered, when it breaks, or when it
/// was idle for too long.
///
/// Requests are sent in the order of their calls, and brokers answer in that order. A request
/// without an answer in time therefore ends the connection and fails all later requests.
#[derive(Clone)]
pub struct Connection(Arc<Handle>);

struct Handle {
    /// The queue shared with the connection's task.
    shared: Arc<Shared>,
    /// The other end, for errors and events.
    peer: Peer,
    /// The API versions that the broker offers.
    versions: BrokerVersions,
    /// `client.id`, sent with each request. `None` sends none.
    client_id: Option<Arc<str>>,
    /// The longest time to wait for an answer, unless a call has its own limit.
    request_timeout: Duration,
    /// True once the connection has ended.
    closed: watch::Receiver<bool>,
}

/// A request without its bytes.
struct Call {
    /// The API that is called.
    api: ApiKey,
    /// The version of the request and of its answer.
    version: i16,
    /// The time in which the answer must come.
    limit: Duration,
    /// The kind of answer.
    expected: Expected,
}

impl Connection {
    /// Dials `address`, runs the handshake and starts the connection's task.
    ///
    /// Waits at most the connect timeout.
    ///
    /// # Errors
    /// All errors name the address.
    ///
    /// - [`ErrorKind::Timeout`] if the peer does not answer.
    /// - [`ErrorKind::Transport`] if the peer cannot be reached or closes the connection.
    /// - [`ErrorKind::Decode`] if the peer uses another protocol.
    ///
    /// # Cancel safety
    /// If the future is dropped, the attempt is given up.
    pub async fn open(
        connector: &dyn Connect,
        address: &Address,
        node: Option<NodeId>,
        options: &ConnectionOptions,
    ) -> Result<Self> {
        let to = Destination {
            address,
            route: address,
            node,
        };
        Self::open_in(connector, to, options, &Home::default()).await
    }

    /// Like [`open`](Self::open), but `home` keeps the task and the list of lost brokers.
    pub(crate) async fn open_in(
        connector: &dyn Connect,
        to: Destination<'_>,
        options: &ConnectionOptions,
        home: &Home,
    ) -> Result<Self> {
        let Destination {
            address,
            route,
            node,
        } = to;
        let started = Instant::now();
        let limit = options.connect_timeout;
        let link = match timeout(limit, establish(connector, route, options)).await {
            Ok(link) => link,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("the peer did not answer within {limit:?}: check host, port and listener"),
            )),
        };
        let elapsed = started.elapsed();
        match link {
            Ok(link) => {
                options.observers.emit(|| Event::Connected {
                    node,
                    address,
                    elapsed,
                });
                home.standing.reached(node, address);
                Self::start(link, to, options, home)
            }
            Err(error) => {
                let error = error.address(address);
                let error = node.into_iter().fold(error, Error::node);
                home.standing.lost(node, address, &error, Loss::Dial);
                options.observers.emit(|| Event::ConnectFailed {
                    node,
                    address,
                    error: &error,
                });
                Err(error)
            }
        }
    }

    /// Starts the task of a connection whose handshake is done.
    fn start(
        link: Link,
        to: Destination<'_>,
        options: &ConnectionOptions,
        home: &Home,
    ) -> Result<Self> {
        let (stream, versions, correlation) = link.finish();
        let shared = Arc::new(Shared::new(correlation, options.max_in_flight.max(1)));
        let peer = Peer {
            node: to.node,
            address: to.address.clone(),
            observers: options.observers.clone(),
            standing: home.standing.clone(),
        };
        let (closing, closed) = watch::channel(false);
        let driver = Driver::new(
            stream,
            shared.clone(),
            peer.clone(),
            options.max_frame,
            options.max_idle,
            closing,
        );
        home.tasks.spawn(&shared, driver)?;
        Ok(Self(Arc::new(Handle {
            shared,
            peer,
            versions,
            client_id: options.client_id.clone(),
            request_timeout: options.request_timeout,
            closed,
        })))
    }

    /// Sends `request` in the highest version that both sides support. Waits for the answer, at
    /// most the request timeout.
    ///
    /// # Errors
    /// - [`ErrorKind::Unsupported`] without a common version.
    /// - [`ErrorKind::Timeout`] and [`ErrorKind::Transport`] if no answer comes.
    ///   [`persistence`](Error::persistence) says if the request may have reached the broker.
    /// - [`ErrorKind::Decode`] for a malformed answer.
    ///
    /// Error codes inside the answer are not errors of this call. The caller reads them.
    ///
    /// # Cancel safety
    /// If the future is dropped, the request is still sent, and its answer is discarded.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response> {
        self.call_with(request, self.0.request_timeout).await
    }

    /// Like [`call`](Self::call), but waits at most `limit`.
    ///
    /// Use it for requests that block at the broker, with some reserve. JoinGroup blocks for up to
    /// the rebalance timeout, Fetch for up to its `max_wait`.
    pub async fn call_with<R: Request>(&self, request: &R, limit: Duration) -> Result<R::Response> {
        let version = self
            .0
            .versions
            .negotiate(R::KEY)
            .map_err(|e| self.place(e))?;
        self.call_version(request, version, limit).await
    }

    /// Like [`call_with`](Self::call_with), in `version`, which the caller negotiated.
    pub async fn call_version<R: Request>(
        &self,
        request: &R,
        version: i16,
        limit: Duration,
    ) -> Result<R::Response> {
        let correlation = self.0.shared.correlation();
        let client_id = self.0.client_id.as_deref();
        let frame = request::encode(request, version, correlation, client_id)?;
        let call = Call {
            api: R::KEY,
            version,
            limit,
            expected: Expected::Answer(None),
        };
        let answer = self.push(call, correlation, vec![frame]);
        let body = answer.await?;
        // The broker may have executed the request, even if its answer cannot be decoded.
        response::decode::<R>(body, version)
            .map_err(|e| self.place(e).with_persistence(Persistence::PossiblyWritten))
    }

    /// Sends a request whose body is `segments`. Adds the header. The future resolves to the body
    /// of the answer.
    ///
    /// The request has its place in the order when this function returns, before the future is
    /// polled. Pipelined callers rely on that. `limit` runs from now on, and does not run while the
    /// connection is muted.
    ///
    /// # Errors
    /// The errors of [`call`](Self::call), and [`ErrorKind::State`] if too many requests are
    /// unanswered.
    pub fn send_raw(
        &self,
        api: ApiKey,
        version: i16,
        segments: Vec<Bytes>,
        limit: Duration,
    ) -> Answer {
        let call = Call {
            api,
            version,
            limit,
            expected: Expected::Answer(None),
        };
        self.send_segments(call, segments)
    }

    /// Like [`send_raw`](Self::send_raw), and calls `watch` with the answer while it arrives.
    pub fn send_watched(
        &self,
        api: ApiKey,
        version: i16,
        segments: Vec<Bytes>,
        limit: Duration,
        watch: Watch,
    ) -> Answer {
        let call = Call {
            api,
            version,
            limit,
            expected: Expected::Answer(Some(watch)),
        };
        self.send_segments(call, segments)
    }

    /// Like [`send_raw`](Self::send_raw), for a request that brokers do not answer (Produce with
    /// acks=0). Resolves to empty bytes once its last byte is written.
    pub fn send_unanswered(
        &self,
        api: ApiKey,
        version: i16,
        segments: Vec<Bytes>,
        limit: Duration,
    ) -> Answer {
        let call = Call {
            api,
            version,
            limit,
            expected: Expected::Nothing,
        };
        self.send_segments(call, segments)
    }

    /// Puts the header before `segments` and queues the request.
    fn send_segments(&self, call: Call, mut segments: Vec<Bytes>) -> Answer {
        let correlation = self.0.shared.correlation();
        let len = segments.iter().map(Bytes::len).sum();
        let client_id = self.0.client_id.as_deref();
        match request::head(call.api, call.version, correlation, client_id, len) {
            Ok(head) => segments.insert(0, head),
            Err(error) => return Answer::failed(error),
        }
        self.push(call, correlation, segments)
    }

    /// Queues a complete request and returns the future of its answer.
    fn push(&self, call: Call, correlation: i32, pieces: Vec<Bytes>) -> Answer {
        let (reply, receiver) = oneshot::channel();
        let now = Instant::now();
        let request = Outgoing {
            api: call.api,
            version: call.version,
            correlation,
            pieces,
            deadline: now + call.limit,
            expected: call.expected,
            reply,
        };
        match self.0.shared.push(request, now) {
            Ok(()) => Answer::waiting(receiver),
            Err(error) => Answer::failed(self.place(error)),
        }
    }

    /// Mutes the connection for `wait`, because an answer to `api` asked for it (KIP-219).
    ///
    /// Most answers carry `throttle_time_ms` at the start, and the connection reads it there.
    /// Produce carries it at the end, so the producer reads it and reports it here.
    pub fn throttle(&self, api: ApiKey, wait: Duration) {
        let wait = wait.min(throttle::LONGEST);
        if self.0.shared.mute(Instant::now(), wait) {
            self.0.peer.observers.emit(|| Event::Throttled {
                node: self.0.peer.node,
                api: api.name(),
                wait,
            });
        }
    }

    /// Returns the time at which the connection is no longer muted. `None` if it is not muted.
    #[must_use]
    pub fn throttled_until(&self) -> Option<Instant> {
        let until = self.0.shared.muted_until()?;
        (until > Instant::now()).then_some(until)
    }

    /// Returns the API versions that the broker offers.
    #[must_use]
    pub fn versions(&self) -> &BrokerVersions {
        &self.0.versions
    }

    /// Returns the broker. `None` for a connection to a bootstrap address.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.0.peer.node
    }

    /// Returns the address that the broker advertises.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.peer.address
    }

    /// Returns the smoothed time from writing a request to its answer. `None` before the first
    /// answer.
    #[must_use]
    pub fn srtt(&self) -> Option<Duration> {
        self.0.shared.round_trip.get()
    }

    /// Returns the longest time to wait for an answer, unless a call has its own limit.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    /// Returns the number of requests that were queued or sent and have not ended.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Returns true if the connection has ended or will end soon. It takes no more requests.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.shared.is_closed()
    }

    /// Waits until the connection has ended.
    pub async fn closed(&self) {
        let mut closed = self.0.closed.clone();
        // An error means that the driver is gone, so the connection has ended, too.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Ends the connection at once. Requests without an answer fail.
    pub fn close(&self) {
        self.0.shared.shut();
    }

    fn place(&self, error: Error) -> Error {
        let error = error.address(&self.0.peer.address);
        self.0.peer.node.into_iter().fold(error, Error::node)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("node", &self.0.peer.node)
            .field("address", &self.0.peer.address)
            .field("in_flight", &self.in_flight())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.detach();
    }
}

/// Dials `address` and runs the handshake steps.
async fn establish(
    connector: &dyn Connect,
    address: &Address,
    options: &ConnectionOptions,
) -> Result<Link> {
    let stream = connector.dial(address).await.map_err(|error| {
        let what = format!("cannot connect: {error}");
        Error::new(ErrorKind::Transport, what).with_source(error)
    })?;
    let mut link = Link::new(stream, address.clone(), options.client_id.clone());
    for step in &options.steps {
        step.run(&mut link).await?;
    }
    Ok(link)
}
