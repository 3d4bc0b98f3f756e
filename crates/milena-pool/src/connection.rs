//! A connection to one broker: pipelined requests, matched to their answers, each with a deadline.

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

/// Where a connection leads to.
#[derive(Clone, Copy)]
pub(crate) struct Destination<'a> {
    /// Where the broker says it is reached.
    pub(crate) address: &'a Address,
    /// What is dialed for that.
    pub(crate) route: &'a Address,
    /// The broker; `None` for a bootstrap address.
    pub(crate) node: Option<NodeId>,
}

/// What the connections of a cluster handle share.
#[derive(Clone, Default)]
pub(crate) struct Home {
    pub(crate) tasks: Tasks,
    pub(crate) standing: Standing,
}

/// A connection to a broker. A clone leads to the same one; it ends when the last clone is gone and
/// every request is answered, when it breaks, or when it was idle.
///
/// Requests go out in the order in which they were handed over, and brokers answer in that order:
/// a request without an answer in time therefore ends the connection and all requests behind it.
#[derive(Clone)]
pub struct Connection(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    peer: Peer,
    versions: BrokerVersions,
    client_id: Option<Arc<str>>,
    request_timeout: Duration,
    closed: watch::Receiver<bool>,
}

impl Connection {
    /// Dials `address`, does the handshake and starts the connection's task.
    ///
    /// Waits at most the connect timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] when the peer stays silent, [`ErrorKind::Transport`] when it cannot be
    /// reached or hangs up, [`ErrorKind::Decode`] when it speaks another protocol; all name the address.
    ///
    /// # Cancel safety
    /// Dropped, the attempt is given up.
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

    /// As [`open`](Self::open), with the task and the standing of the broker kept by `home`.
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

    /// Sends `request` in the highest version that both sides speak and waits for the answer, at
    /// most the request timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] without a common version; [`ErrorKind::Timeout`] and
    /// [`ErrorKind::Transport`] when no answer comes, with [`persistence`](Error::persistence) telling
    /// whether the request may have reached the broker; [`ErrorKind::Decode`] for a malformed answer.
    /// Error codes inside the answer are the caller's to read.
    ///
    /// # Cancel safety
    /// Dropped, the request is sent all the same and its answer discarded.
    pub async fn call<R: Request>(&self, request: &R) -> Result<R::Response> {
        self.call_with(request, self.0.request_timeout).await
    }

    /// As [`call`](Self::call), waiting at most `limit`: JoinGroup parks for the rebalance timeout,
    /// Fetch for its `max_wait`; give them that and some slack.
    pub async fn call_with<R: Request>(&self, request: &R, limit: Duration) -> Result<R::Response> {
        let version = self
            .0
            .versions
            .negotiate(R::KEY)
            .map_err(|e| self.place(e))?;
        self.call_version(request, version, limit).await
    }

    /// As [`call_with`](Self::call_with), in `version`, which the caller negotiated.
    pub async fn call_version<R: Request>(
        &self,
        request: &R,
        version: i16,
        limit: Duration,
    ) -> Result<R::Response> {
        let correlation = self.0.shared.correlation();
        let client_id = self.0.client_id.as_deref();
        let frame = request::encode(request, version, correlation, client_id)?;
        let answer = self.push(
            R::KEY,
            version,
            correlation,
            vec![frame],
            limit,
            Expected::Answer(None),
        );
        let body = answer.await?;
        // An answer that cannot be read says nothing about whether the request was carried out.
        response::decode::<R>(body, version)
            .map_err(|e| self.place(e).with_persistence(Persistence::PossiblyWritten))
    }

    /// Hands over a request whose body is `segments`; the header is written here. The answer's body
    /// resolves the future.
    ///
    /// The place in the order is taken when this returns, before the future is polled: pipelined
    /// callers keep their order. `limit` runs from now, and stands still while the connection is mute.
    ///
    /// # Errors
    /// As [`call`](Self::call); [`ErrorKind::State`] when too many requests are unanswered.
    pub fn send_raw(
        &self,
        api: ApiKey,
        version: i16,
        segments: Vec<Bytes>,
        limit: Duration,
    ) -> Answer {
        self.send_segments(api, version, segments, limit, Expected::Answer(None))
    }

    /// As [`send_raw`](Self::send_raw), with `watch` looking at the answer while it arrives.
    pub fn send_watched(
        &self,
        api: ApiKey,
        version: i16,
        segments: Vec<Bytes>,
        limit: Duration,
        watch: Watch,
    ) -> Answer {
        self.send_segments(api, version, segments, limit, Expected::Answer(Some(watch)))
    }

    /// As [`send_raw`](Self::send_raw), for a request that brokers do not answer (Produce with
    /// acks=0): resolves to nothing once its last byte was written.
    pub fn send_unanswered(
        &self,
        api: ApiKey,
        version: i16,
        segments: Vec<Bytes>,
        limit: Duration,
    ) -> Answer {
        self.send_segments(api, version, segments, limit, Expected::Nothing)
    }

    fn send_segments(
        &self,
        api: ApiKey,
        version: i16,
        mut segments: Vec<Bytes>,
        limit: Duration,
        expected: Expected,
    ) -> Answer {
        let correlation = self.0.shared.correlation();
        let len = segments.iter().map(Bytes::len).sum();
        let client_id = self.0.client_id.as_deref();
        match request::head(api, version, correlation, client_id, len) {
            Ok(head) => segments.insert(0, head),
            Err(error) => return Answer::failed(error),
        }
        self.push(api, version, correlation, segments, limit, expected)
    }

    fn push(
        &self,
        api: ApiKey,
        version: i16,
        correlation: i32,
        pieces: Vec<Bytes>,
        limit: Duration,
        expected: Expected,
    ) -> Answer {
        let (reply, receiver) = oneshot::channel();
        let now = Instant::now();
        let request = Outgoing {
            api,
            version,
            correlation,
            pieces,
            deadline: now + limit,
            expected,
            reply,
        };
        match self.0.shared.push(request, now) {
            Ok(()) => Answer::waiting(receiver),
            Err(error) => Answer::failed(self.place(error)),
        }
    }

    /// Mutes the connection for `wait`, as an answer to `api` asked (KIP-219). Answers decoded by
    /// hand whose wait stands at their end (Produce) are told so; the others are seen to here.
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

    /// Until when the connection is mute; `None` when it is not.
    #[must_use]
    pub fn throttled_until(&self) -> Option<Instant> {
        let until = self.0.shared.muted_until()?;
        (until > Instant::now()).then_some(until)
    }

    /// What the broker serves.
    #[must_use]
    pub fn versions(&self) -> &BrokerVersions {
        &self.0.versions
    }

    /// The broker; `None` for a connection to a bootstrap address.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.0.peer.node
    }

    /// Where the broker said it is reached.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.0.peer.address
    }

    /// The smoothed time from a request written to its answer; `None` before the first answer.
    #[must_use]
    pub fn srtt(&self) -> Option<Duration> {
        self.0.shared.round_trip.get()
    }

    /// How long an answer may take unless a call says otherwise.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    /// How many requests were handed over and are not done.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.0.shared.in_flight.load(Ordering::Relaxed)
    }

    /// Whether it has ended or is about to: nothing more is taken.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.shared.is_closed()
    }

    /// Waits until it has ended.
    pub async fn closed(&self) {
        let mut closed = self.0.closed.clone();
        // An error means that the driver is gone, which is the same.
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// Ends it at once; requests without an answer fail.
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
