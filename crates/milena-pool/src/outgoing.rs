//! Requests on their way, from the queue to the answer, and their fate when the connection ends.

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

/// A function that sees the body of an answer while it arrives.
///
/// The connection's task calls it after each read of a frame that is large (over 16 KiB). It
/// receives all bytes so far, from the first byte of the body on. Those bytes do not change any
/// more. It is not called for a small frame, which arrives at once.
pub type Watch = Box<dyn FnMut(&[u8]) + Send>;

/// A request in the queue of a connection.
pub(crate) struct Outgoing {
    /// The API of the request.
    pub(crate) api: ApiKey,
    /// The version of the request.
    pub(crate) version: i16,
    /// The correlation id, which the answer repeats.
    pub(crate) correlation: i32,
    /// The bytes of the frame, in pieces.
    pub(crate) pieces: Vec<Bytes>,
    /// The time at which the request fails. Moves while the connection is muted.
    pub(crate) deadline: Instant,
    /// The answer that will come.
    pub(crate) expected: Expected,
    /// Receives the answer's body or the error.
    pub(crate) reply: oneshot::Sender<Result<Bytes>>,
}

/// The answer that will come to a request.
pub(crate) enum Expected {
    /// No answer. A request with acks=0 is done once it is written.
    Nothing,
    /// An answer. The watch, if any, sees it while it arrives.
    Answer(Option<Watch>),
}

/// A request whose bytes are in the write queue or were written.
pub(crate) struct InFlight {
    /// The API of the request.
    pub(crate) api: ApiKey,
    /// The version of the request.
    pub(crate) version: i16,
    /// The correlation id, which the answer repeats.
    pub(crate) correlation: i32,
    /// The number of the request's first byte in the stream, counted from 0.
    pub(crate) start: u64,
    /// The number of the first byte after the request.
    pub(crate) end: u64,
    /// The time at which the connection is given up without an answer.
    pub(crate) deadline: Instant,
    /// The time at which the last byte was written. Before that, the time of queueing.
    pub(crate) sent_at: Instant,
    /// The answer that will come.
    pub(crate) expected: Expected,
    /// Receives the answer's body or the error.
    pub(crate) reply: oneshot::Sender<Result<Bytes>>,
}

impl InFlight {
    /// Passes the bytes that arrived of `frame` to the watch, if `frame` is the answer to this
    /// request.
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

/// The state shared by the handles of a connection and its driver.
pub(crate) struct Shared {
    /// The requests that the driver has not taken yet, and the state of the connection.
    queue: Mutex<Queue>,
    /// Wakes the driver after a change of `queue`.
    pub(crate) waker: AtomicWaker,
    /// Number of requests in `queue`, being written, or awaiting their answer.
    pub(crate) in_flight: AtomicUsize,
    /// The smoothed round trip time, written by the driver.
    pub(crate) round_trip: RoundTrip,
    /// The next correlation id. Wraps, and is masked to be never negative.
    correlation: AtomicI32,
    /// The most requests that may be in flight, `ConnectionOptions::max_in_flight`.
    limit: usize,
}

#[derive(Default)]
struct Queue {
    /// Requests that the driver has not taken, in the order of their calls.
    pending: VecDeque<Outgoing>,
    /// The time at which the connection is no longer muted. `None` if it is not muted. May be past.
    muted_until: Option<Instant>,
    /// Time by which the deadlines of requests outside the queue must move. The driver takes it,
    /// since it holds those requests.
    longer: Duration,
    /// The reason why no more requests are taken. Set once, when the connection ends. `None`
    /// before.
    closed: Option<Error>,
    /// True once this client wants the connection to end at once.
    shut: bool,
    /// True once the last handle is gone. The connection ends when everything is answered.
    detached: bool,
}

/// The driver's instructions, read together with the requests.
pub(crate) struct Word {
    /// The next step besides the requests.
    pub(crate) wish: Wish,
    /// Time by which the deadlines of earlier requests move, because the broker muted the
    /// connection.
    pub(crate) longer: Duration,
}

/// The next step of a driver, besides the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Continue.
    GoOn,
    /// End once everything is written and answered.
    EndWhenIdle,
    /// End now.
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

    /// Returns the next correlation id. Never negative.
    pub(crate) fn correlation(&self) -> i32 {
        self.correlation.fetch_add(1, Ordering::Relaxed) & i32::MAX
    }

    /// Queues a request behind all earlier ones. Its deadline moves by the time that the connection
    /// is still muted.
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
            // A broker reads nothing from a client that it throttles, so that time must not count.
            if let Some(until) = queue.muted_until {
                request.deadline += until.saturating_duration_since(now);
            }
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            queue.pending.push_back(request);
        }
        self.waker.wake();
        Ok(())
    }

    /// Moves all requests that may be sent now into `into`. Moves none while the connection is
    /// muted.
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

    /// Mutes the connection for `wait` from now on. Moves all deadlines by the added time, because
    /// a broker reads nothing from a client that it throttles.
    ///
    /// Returns true if the muted time became longer.
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

    /// Returns the end of the muted time. May be past.
    pub(crate) fn muted_until(&self) -> Option<Instant> {
        self.queue.lock().muted_until
    }

    /// Takes out the queued requests past their deadline. Returns the time of the next check, too.
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

    /// Closes the queue and returns its requests. With `only_if_empty`, does nothing and returns
    /// `None` if there are any.
    pub(crate) fn close(&self, error: Error, only_if_empty: bool) -> Option<Vec<Outgoing>> {
        let mut queue = self.queue.lock();
        if only_if_empty && !queue.pending.is_empty() {
            return None;
        }
        queue.closed.get_or_insert(error);
        Some(queue.pending.drain(..).collect())
    }

    /// Returns true if the queue takes no more requests.
    pub(crate) fn is_closed(&self) -> bool {
        let queue = self.queue.lock();
        queue.closed.is_some() || queue.shut
    }

    /// Returns true if this client asked for the end.
    pub(crate) fn is_shut(&self) -> bool {
        self.queue.lock().shut
    }

    /// Asks the driver to end at once.
    pub(crate) fn shut(&self) {
        self.queue.lock().shut = true;
        self.waker.wake();
    }

    /// Asks the driver to end once everything is answered, because the last handle is gone.
    pub(crate) fn detach(&self) {
        self.queue.lock().detached = true;
        self.waker.wake();
    }
}

/// The future of a request's answer. It resolves to the body, without the header.
///
/// For a request without an answer (acks=0) it resolves to empty bytes once the request is written.
///
/// # Cancel safety
/// If the future is dropped, the request is still sent, and its answer is discarded.
#[must_use = "the answer is discarded when this is dropped"]
#[derive(Debug)]
pub struct Answer(AnswerState);

#[derive(Debug)]
enum AnswerState {
    /// The request was not queued. `None` after the error was returned.
    Failed(Option<Error>),
    /// The request was queued. The driver sends the answer.
    Waiting(oneshot::Receiver<Result<Bytes>>),
}

impl Answer {
    pub(crate) const fn failed(error: Error) -> Self {
        Self(AnswerState::Failed(Some(error)))
    }

    pub(crate) const fn waiting(receiver: oneshot::Receiver<Result<Bytes>>) -> Self {
        Self(AnswerState::Waiting(receiver))
    }
}

impl Future for Answer {
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            AnswerState::Failed(error) => Poll::Ready(Err(error.take().unwrap_or_else(gone))),
            AnswerState::Waiting(receiver) => Pin::new(receiver)
                .poll(cx)
                .map(|answer| answer.unwrap_or_else(|_| Err(gone()))),
        }
    }
}

/// Creates the error of an answer that was lost with the connection's task, or was returned before.
fn gone() -> Error {
    task_is_gone().with_persistence(Persistence::PossiblyWritten)
}

/// Creates the error of a connection whose task is gone, so that nobody reads its answers.
pub(crate) fn task_is_gone() -> Error {
    let what = "the task of the connection is gone: its runtime has ended, it was aborted, or code that it called panicked";
    Error::new(ErrorKind::Transport, what)
}
