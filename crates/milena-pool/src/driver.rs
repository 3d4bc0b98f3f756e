//! The task of a connection. It writes requests, matches answers to them, and checks deadlines.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use milena_core::{Address, Error, ErrorKind, Event, NodeId, Observers, Persistence, Result};
use milena_protocol::response;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::connect::BoxStream;
use crate::frames::FrameReader;
use crate::outgoing::{Expected, InFlight, Outgoing, Shared, Wish, Word, task_is_gone};
use crate::standing::{Loss, Standing};
use crate::throttle;
use crate::writes::WriteQueue;

/// The other end of a connection, for errors and events.
#[derive(Clone)]
pub(crate) struct Peer {
    /// The broker. `None` for a bootstrap address.
    pub(crate) node: Option<NodeId>,
    /// The address that the broker advertises, or the bootstrap address.
    pub(crate) address: Address,
    /// The observers that receive the connection's events.
    pub(crate) observers: Observers,
    /// The list of lost brokers, shared by all connections of the cluster handle.
    pub(crate) standing: Standing,
}

impl Peer {
    fn place(&self, error: Error) -> Error {
        let error = error.address(&self.address);
        match self.node {
            Some(node) => error.node(node),
            None => error,
        }
    }
}

/// The task of a connection, which owns the stream.
///
/// It ends when the stream fails, a deadline passes, the peer breaks the protocol, the connection
/// is idle for too long, or this client closes it. Every remaining request then fails.
pub(crate) struct Driver {
    /// The connection to the broker, after the handshake.
    stream: BoxStream,
    /// The queue of requests, shared with the handles.
    shared: Arc<Shared>,
    /// The other end, for errors and events.
    peer: Peer,
    /// Cuts the bytes read into answers.
    reader: FrameReader,
    /// The bytes of the requests in `writing` that the stream has not taken.
    writes: WriteQueue,
    /// Requests whose last byte is not written, in the order of their bytes.
    writing: VecDeque<InFlight>,
    /// Requests written and not answered, in the order of their bytes. Brokers answer in that
    /// order, so the front is the next to be answered.
    awaiting: VecDeque<InFlight>,
    /// Requests taken from the queue in this turn. Empty between turns. Kept for its memory.
    admitted: Vec<Outgoing>,
    /// Fires at the next deadline. May be set to an earlier time than needed.
    timer: Pin<Box<Sleep>>,
    /// The time at which the last request ended.
    idle_since: Instant,
    /// The longest time without requests, `connections.max.idle.ms`.
    max_idle: Duration,
    /// Set to true at the end, for [`Connection::closed`](crate::Connection::closed).
    closed: watch::Sender<bool>,
    /// True once `end` has begun. If it is still false when the driver is dropped, `drop` calls
    /// `end`.
    ended: bool,
}

/// The reason why a driver ends.
enum End {
    /// This client closed the connection, for this reason.
    Own(&'static str),
    /// No request was made for too long.
    Idle,
    /// The stream or the peer failed.
    Failed(Error),
}

impl Driver {
    pub(crate) fn new(
        stream: BoxStream,
        shared: Arc<Shared>,
        peer: Peer,
        max_frame: usize,
        max_idle: Duration,
        closed: watch::Sender<bool>,
    ) -> Self {
        let now = Instant::now();
        Self {
            stream,
            shared,
            peer,
            reader: FrameReader::new(max_frame),
            writes: WriteQueue::default(),
            writing: VecDeque::new(),
            awaiting: VecDeque::new(),
            admitted: Vec::new(),
            timer: Box::pin(sleep_until(now + max_idle)),
            idle_since: now,
            max_idle,
            closed,
            ended: false,
        }
    }

    /// Runs turns until nothing moves. Ready when the connection must end.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.shared.waker.register(cx.waker());
        for _ in 0..TURNS {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(end) => return Poll::Ready(end),
            }
        }
        // Yield to other tasks after many turns, even if there is more to do.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes, reads and checks deadlines once. Returns true if anything moved.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let now = Instant::now();
        let wish = self.admit(now);
        let wrote = self.write(cx, now)?;
        let read = self.read(cx, now)?;
        let empty = self.writing.is_empty() && self.awaiting.is_empty();
        match wish {
            Wish::EndNow => return Err(End::Own(CLOSED)),
            Wish::EndWhenIdle if self.owes_nobody() => {
                return Err(End::Own(
                    "the connection was closed because nothing uses it",
                ));
            }
            _ => {}
        }
        if wrote || read {
            return Ok(true);
        }
        self.keep_time(cx, now, empty)
    }

    /// Returns true if everything is written and nobody waits for an answer.
    fn owes_nobody(&self) -> bool {
        self.writing.is_empty() && self.awaiting.iter().all(|next| next.reply.is_closed())
    }

    /// Moves requests from the shared queue to the write queue. Extends the deadlines of written
    /// requests by the time that the connection was muted.
    fn admit(&mut self, now: Instant) -> Wish {
        let Word { wish, longer } = self.shared.drain(now, &mut self.admitted);
        if longer > Duration::ZERO {
            for request in self.awaiting.iter_mut().chain(&mut self.writing) {
                request.deadline += longer;
            }
        }
        for request in self.admitted.drain(..) {
            let (start, end) = self.writes.push(request.pieces);
            self.writing.push_back(InFlight {
                api: request.api,
                version: request.version,
                correlation: request.correlation,
                start,
                end,
                deadline: request.deadline,
                sent_at: now,
                expected: request.expected,
                reply: request.reply,
            });
        }
        wish
    }

    /// Writes once. Returns true if the stream took bytes.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        match self.writes.poll_write(&mut self.stream, cx) {
            Poll::Pending | Poll::Ready(Ok(0)) => return Ok(false),
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => {
                let what = format!("writing failed: {error}");
                let error = Error::new(ErrorKind::Transport, what).with_source(error);
                return Err(End::Failed(error));
            }
        }
        let written = self.writes.written();
        while let Some(mut sent) = self.writing.pop_front_if(|next| next.end <= written) {
            sent.sent_at = now;
            match sent.expected {
                Expected::Answer(_) => self.awaiting.push_back(sent),
                Expected::Nothing => self.complete(sent, Ok(Bytes::new()), 0, now),
            }
        }
        Ok(true)
    }

    /// Reads one answer. Returns true if one came.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, End> {
        let awaiting = &mut self.awaiting;
        let watch = |frame: &[u8]| {
            if let Some(first) = awaiting.front_mut() {
                first.look(frame);
            }
        };
        let frame = match self.reader.poll_frame(&mut self.stream, cx, watch) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(Some(frame))) => frame,
            Poll::Ready(Ok(None)) => {
                let what = "the broker closed the connection";
                return Err(End::Failed(Error::new(ErrorKind::Transport, what)));
            }
            Poll::Ready(Err(error)) => return Err(End::Failed(error)),
        };
        let echoed = response::correlation_id(&frame).map_err(End::Failed)?;
        match self
            .awaiting
            .pop_front_if(|next| next.correlation == echoed)
        {
            Some(request) => {
                self.answer(request, &frame, now);
                Ok(true)
            }
            None => {
                let what = match self.awaiting.front() {
                    Some(next) => format!(
                        "the answer has correlation id {echoed}, but {} was expected",
                        next.correlation
                    ),
                    None => {
                        format!("an answer with correlation id {echoed} came without a request")
                    }
                };
                Err(End::Failed(Error::new(ErrorKind::Decode, what)))
            }
        }
    }

    /// Ends `request` with its answer. Mutes the connection first if the answer asks for it.
    fn answer(&mut self, request: InFlight, frame: &Bytes, now: Instant) {
        self.shared
            .round_trip
            .observe(now.saturating_duration_since(request.sent_at));
        let body = response::body(request.api, request.version, frame);
        if let Ok(body) = &body
            && let Some(wait) = throttle::asked(request.api, request.version, body)
            && self.shared.mute(now, wait)
        {
            let (node, api) = (self.peer.node, request.api.name());
            self.peer
                .observers
                .emit(|| Event::Throttled { node, api, wait });
        }
        let body = body.map_err(|e| {
            let error = self.peer.place(e).api(request.api.name());
            error.with_persistence(Persistence::PossiblyWritten)
        });
        self.complete(request, body, frame.len() + 4, now);
    }

    /// Reports the end of a request that was written or queued for the stream, and answers it.
    fn complete(
        &mut self,
        request: InFlight,
        answer: Result<Bytes>,
        received: usize,
        now: Instant,
    ) {
        self.idle_since = now;
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.peer.observers.emit(|| Event::Request {
            node: self.peer.node,
            api: request.api.name(),
            version: request.version,
            elapsed: now.saturating_duration_since(request.sent_at),
            sent: usize::try_from(request.end - request.start).unwrap_or(usize::MAX),
            received,
            error: answer.as_ref().err(),
        });
        // Sending fails if the caller dropped its future. The answer is then discarded.
        let _ = request.reply.send(answer);
    }

    /// Fails queued requests past their deadline and sets the timer to the next deadline. Ends the
    /// connection if a request that left the queue is past its deadline.
    fn keep_time(&mut self, cx: &mut Context<'_>, now: Instant, empty: bool) -> Result<bool, End> {
        let (expired, mut next) = self.shared.expire(now);
        for request in expired {
            self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
            let what = "the deadline passed before the request could be sent";
            let error = Error::new(ErrorKind::Timeout, what).api(request.api.name());
            let error = error.with_persistence(Persistence::NotWritten);
            let _ = request.reply.send(Err(self.peer.place(error)));
        }
        let queued = self.awaiting.iter().chain(&self.writing);
        if let Some(soonest) = queued.map(|request| request.deadline).min() {
            if soonest <= now {
                // Brokers answer in order. With one answer missing, the later ones cannot be
                // trusted to come, so the connection ends.
                return Err(End::Failed(self.late(now)));
            }
            next = Some(next.map_or(soonest, |next| next.min(soonest)));
        } else if empty && next.is_none() {
            let idle_end = self.idle_since + self.max_idle;
            if idle_end <= now {
                return Err(End::Idle);
            }
            next = Some(idle_end);
            if self.reader.spares().is_flowing() {
                let lull_end = self.idle_since + LULL;
                if lull_end <= now {
                    self.reader.spares().let_go();
                } else {
                    next = Some(idle_end.min(lull_end));
                }
            }
        }
        if let Some(next) = next {
            // A timer that is set too early fires once without effect. That is cheaper than to move
            // the timer for each request.
            if next < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(next);
            }
            return Ok(self.timer.as_mut().poll(cx).is_ready());
        }
        Ok(false)
    }

    /// Returns the error of a connection on which a request got no answer in time.
    fn late(&self, now: Instant) -> Error {
        let queued = self.awaiting.iter().chain(&self.writing);
        let late = queued.min_by_key(|request| request.deadline);
        let (api, waited) = late.map_or(("", Duration::ZERO), |request| {
            (
                request.api.name(),
                now.saturating_duration_since(request.sent_at),
            )
        });
        let what = format!("no answer within {waited:?}; the connection is given up");
        Error::new(ErrorKind::Timeout, what).api(api)
    }

    /// Fails all remaining requests. The count of bytes that the stream took shows which were
    /// written.
    fn end(&mut self, end: End) {
        self.ended = true;
        let now = Instant::now();
        let (error, own) = match end {
            End::Own(why) => (Error::new(ErrorKind::Transport, why), true),
            End::Idle => (idle(), true),
            End::Failed(error) => (error, false),
        };
        let error = self.peer.place(error);
        // Brokers and proxies close connections that nobody uses. Nothing is lost then, so it is
        // not logged as a lost broker.
        let was_used = self.shared.in_flight.load(Ordering::Relaxed) > 0;
        let pending = self.shared.close(error.clone(), false).unwrap_or_default();
        self.closed.send_replace(true);
        let (written, late) = (self.writes.written(), error.kind() == ErrorKind::Timeout);
        let left: Vec<_> = self
            .awaiting
            .drain(..)
            .chain(self.writing.drain(..))
            .collect();
        for request in left {
            let begun = request.start < written;
            let own_fault = request.deadline <= now;
            let told = if late && !own_fault {
                // An earlier request is late. This one fails with it, since answers come in order.
                let what = "the connection was given up: an earlier request got no answer";
                self.peer
                    .place(Error::new(ErrorKind::Transport, what).with_source(error.clone()))
            } else {
                error.clone()
            };
            let persistence = if begun {
                Persistence::PossiblyWritten
            } else {
                Persistence::NotWritten
            };
            let told = told.api(request.api.name()).with_persistence(persistence);
            self.complete(request, Err(told), 0, now);
        }
        for request in pending {
            self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
            let told = error.clone().api(request.api.name());
            let told = told.with_persistence(Persistence::NotWritten);
            let _ = request.reply.send(Err(told));
        }
        let (node, address) = (self.peer.node, &self.peer.address);
        if !own && was_used {
            let standing = &self.peer.standing;
            standing.lost(node, address, &error, Loss::Connection);
        }
        self.peer.observers.emit(|| Event::Disconnected {
            node,
            address,
            error: (!own).then_some(&error),
        });
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        match this.poll_end(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(End::Idle) if this.shared.close(idle(), true).is_none() => {
                // A request was queued at the last moment, so the connection stays open and serves
                // it.
                cx.waker().wake_by_ref();
                this.idle_since = Instant::now();
                Poll::Pending
            }
            Poll::Ready(end) => {
                this.end(end);
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Driver {
    /// Ends the connection if the task is gone without an end of its own, because its runtime shut
    /// down, it was aborted, or it panicked.
    ///
    /// Only the task checks deadlines. Without this, requests in the queue would never be answered.
    fn drop(&mut self) {
        if !self.ended {
            let end = if self.shared.is_shut() {
                End::Own(CLOSED)
            } else {
                End::Failed(task_is_gone())
            };
            self.end(end);
        }
    }
}

const CLOSED: &str = "the connection was closed by this client";

fn idle() -> Error {
    Error::new(
        ErrorKind::Transport,
        "the connection was idle and is closed",
    )
}

/// After this time without requests, the memory kept for large answers is freed.
const LULL: Duration = Duration::from_secs(1);
/// Turns before the driver yields to other tasks.
const TURNS: usize = 64;
