//! Requests on their way: handed over in order, and what becomes of each when the connection ends.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use milena_core::{Error, ErrorKind, Persistence, Result};
use milena_protocol::{ApiKey, response};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::rtt::RoundTrip;

/// Looks at the body of an answer while it arrives.
///
/// It is called on the connection's task with all that has come so far, from the body's first byte on, after each read of a frame that is
/// large (over 16 KiB); never for a small one, which is there at once. What has come does not change any more.
pub type Watch = Box<dyn FnMut(&[u8]) + Send>;

/// A request that a connection was given.
pub(crate) struct Outgoing {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) deadline: Instant,
    pub(crate) expected: Expected,
    pub(crate) reply: oneshot::Sender<Result<Bytes>>,
}

/// What is to come back for a request.
pub(crate) enum Expected {
    /// Nothing: acks=0 is done once it is written.
    Nothing,
    /// An answer, which may have somebody who looks at it while it arrives.
    Answer(Option<Watch>),
}

/// A request whose bytes were queued for the stream.
pub(crate) struct InFlight {
    pub(crate) api: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation: i32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) deadline: Instant,
    pub(crate) sent_at: Instant,
    pub(crate) expected: Expected,
    pub(crate) reply: oneshot::Sender<Result<Bytes>>,
}

impl InFlight {
    /// Shows what has arrived of a frame to whoever watches for this request's answer, if it is that.
    pub(crate) fn look(&mut self, frame: &[u8]) {
        if let Expected::Answer(Some(watch)) = &mut self.expected
            && response::correlation_id(frame).is_ok_and(|id| id == self.correlation)
            && let Ok(header) = response::header_len(self.api, self.version, frame)
            && let Some(body) = frame.get(header..)
        {
            watch(body);
        }
    }
}

/// What the handles of a connection and its driver share.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    pub(crate) waker: AtomicWaker,
    pub(crate) in_flight: AtomicUsize,
    pub(crate) round_trip: RoundTrip,
    correlation: AtomicI32,
    limit: usize,
}

#[derive(Default)]
struct Queue {
    pending: VecDeque<Outgoing>,
    muted_until: Option<Instant>,
    /// By how much the deadlines of what was written are to move; the driver, which keeps those, takes it.
    longer: Duration,
    /// Why nothing more is taken; set once.
    closed: Option<Error>,
    /// This side wants the end now.
    shut: bool,
    /// The last handle is gone: end once everything is answered.
    detached: bool,
}

/// What the driver is told as it takes requests out of the queue.
pub(crate) struct Word {
    pub(crate) wish: Wish,
    /// How much longer the requests that were written before have, since a broker muted the connection.
    pub(crate) longer: Duration,
}

/// What the driver is to do next, apart from the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    GoOn,
    EndWhenIdle,
    EndNow,
}

impl Shared {
    pub(crate) fn new(correlation: i32, limit: usize) -> Self {
        Self {
            queue: Mutex::default(),
            waker: AtomicWaker::new(),
            in_flight: AtomicUsize::new(0),
            round_trip: RoundTrip::default(),
            correlation: AtomicI32::new(correlation),
            limit,
        }
    }

    /// The next correlation id, never negative.
    pub(crate) fn correlation(&self) -> i32 {
        self.correlation.fetch_add(1, Ordering::Relaxed) & i32::MAX
    }

    /// Takes a request in, behind all that were taken in before; `timeout` does not run while mute.
    pub(crate) fn push(&self, mut request: Outgoing, now: Instant) -> Result<()> {
        {
            let mut queue = self.queue.lock();
            if let Some(error) = &queue.closed {
                return Err(error
                    .clone()
                    .api(request.api.name())
                    .with_persistence(Persistence::NotWritten));
            }
            if self.in_flight.load(Ordering::Relaxed) >= self.limit {
                let what = format!("{} requests are unanswered on this connection", self.limit);
                return Err(Error::new(ErrorKind::State, what)
                    .api(request.api.name())
                    .with_persistence(Persistence::NotWritten));
            }
            if let Some(until) = queue.muted_until {
                request.deadline += until.saturating_duration_since(now);
            }
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            queue.pending.push_back(request);
        }
        self.waker.wake();
        Ok(())
    }

    /// Moves all that may be sent now out of the queue; nothing while mute.
    pub(crate) fn drain(&self, now: Instant, into: &mut Vec<Outgoing>) -> Word {
        let mut queue = self.queue.lock();
        if queue.muted_until.is_some_and(|until| until <= now) {
            queue.muted_until = None;
        }
        if queue.muted_until.is_none() {
            into.extend(queue.pending.drain(..));
        }
        let wish = match (queue.shut, queue.detached && queue.pending.is_empty()) {
            (true, _) => Wish::EndNow,
            (false, true) => Wish::EndWhenIdle,
            (false, false) => Wish::GoOn,
        };
        let longer = std::mem::take(&mut queue.longer);
        Word { wish, longer }
    }

    /// Mutes the connection: all deadlines move by as much, since a broker reads nothing of a client that it throttles.
    ///
    /// Returns whether that is new.
    pub(crate) fn mute(&self, now: Instant, wait: Duration) -> bool {
        {
            let mut queue = self.queue.lock();
            let until = now + wait;
            let from = queue.muted_until.filter(|old| *old > now).unwrap_or(now);
            if until <= from {
                return false;
            }
            queue.muted_until = Some(until);
            let longer = until.duration_since(from);
            queue.longer += longer;
            for request in &mut queue.pending {
                request.deadline += longer;
            }
        }
        self.waker.wake();
        true
    }

    pub(crate) fn muted_until(&self) -> Option<Instant> {
        self.queue.lock().muted_until
    }

    /// Takes out what waits past its deadline, and says when to look again.
    pub(crate) fn expire(&self, now: Instant) -> (Vec<Outgoing>, Option<Instant>) {
        let mut queue = self.queue.lock();
        let mut expired = Vec::new();
        if queue.pending.iter().any(|request| request.deadline <= now) {
            let (late, kept): (Vec<_>, Vec<_>) = queue
                .pending
                .drain(..)
                .partition(|request| request.deadline <= now);
            queue.pending.extend(kept);
            expired = late;
        }
        let next = queue.pending.iter().map(|request| request.deadline).min();
        let next = match (next, queue.muted_until) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        (expired, next)
    }

    /// Closes the queue and returns what was in it. With `only_if_empty` nothing happens when it is not.
    pub(crate) fn close(&self, error: Error, only_if_empty: bool) -> Option<Vec<Outgoing>> {
        let mut queue = self.queue.lock();
        if only_if_empty && !queue.pending.is_empty() {
            return None;
        }
        queue.closed.get_or_insert(error);
        Some(queue.pending.drain(..).collect())
    }

    pub(crate) fn is_closed(&self) -> bool {
        let queue = self.queue.lock();
        queue.closed.is_some() || queue.shut
    }

    /// Whether this side asked for the end.
    pub(crate) fn is_shut(&self) -> bool {
        self.queue.lock().shut
    }

    pub(crate) fn shut(&self) {
        self.queue.lock().shut = true;
        self.waker.wake();
    }

    pub(crate) fn detach(&self) {
        self.queue.lock().detached = true;
        self.waker.wake();
    }
}

/// The answer to a request that was handed over: its body, past the header.
///
/// Empty for a request without an answer (acks=0), once it is written.
///
/// # Cancel safety
/// Dropped, the request is sent all the same and its answer discarded.
#[must_use = "the answer is discarded when this is dropped"]
#[derive(Debug)]
pub struct Answer(Inner);

#[derive(Debug)]
enum Inner {
    Failed(Option<Error>),
    Waiting(oneshot::Receiver<Result<Bytes>>),
}

impl Answer {
    pub(crate) const fn failed(error: Error) -> Self {
        Self(Inner::Failed(Some(error)))
    }

    pub(crate) const fn waiting(receiver: oneshot::Receiver<Result<Bytes>>) -> Self {
        Self(Inner::Waiting(receiver))
    }
}

impl Future for Answer {
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Failed(error) => Poll::Ready(Err(error.take().unwrap_or_else(gone))),
            Inner::Waiting(receiver) => Pin::new(receiver)
                .poll(cx)
                .map(|answer| answer.unwrap_or_else(|_| Err(gone()))),
        }
    }
}

/// The answer was lost with the connection's task, or was taken before.
fn gone() -> Error {
    task_is_gone().with_persistence(Persistence::PossiblyWritten)
}

/// The error of a connection whose task ended without a word: nobody reads its answers any more.
pub(crate) fn task_is_gone() -> Error {
    let what = "the task of the connection is gone: its runtime has ended, it was cut off, or code that it called panicked";
    Error::new(ErrorKind::Transport, what)
}
