//! The task of a connection: writes what was handed over, matches answers, keeps deadlines.

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

/// Who the connection leads to, for errors and events.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) node: Option<NodeId>,
    pub(crate) address: Address,
    pub(crate) observers: Observers,
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

/// Owns the stream. Ends when the stream fails, a deadline passes, the peer breaks the protocol,
/// it is idle for too long, or this side lets go; then every request left is failed.
pub(crate) struct Driver {
    stream: BoxStream,
    shared: Arc<Shared>,
    peer: Peer,
    reader: FrameReader,
    writes: WriteQueue,
    /// Invariant: both in the order of their bytes; brokers answer in the order of the requests.
    writing: VecDeque<InFlight>,
    awaiting: VecDeque<InFlight>,
    admitted: Vec<Outgoing>,
    timer: Pin<Box<Sleep>>,
    idle_since: Instant,
    max_idle: Duration,
    closed: watch::Sender<bool>,
    /// Whether `end` was begun; a driver that is dropped without does so then.
    ended: bool,
}

/// Why a driver ended.
enum End {
    /// This side closed it.
    Own(&'static str),
    /// Nothing was asked for too long.
    Idle,
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

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.shared.waker.register(cx.waker());
        for _ in 0..TURNS {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(end) => return Poll::Ready(end),
            }
        }
        // Other tasks get their turn, too.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One round over everything; tells whether anything moved.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let now = Instant::now();
        let wish = self.admit(now);
        let wrote = self.write(cx, now)?;
        let read = self.read(cx, now)?;
        let empty = self.writing.is_empty() && self.awaiting.is_empty();
        match wish {
            Wish::EndNow => return Err(End::Own(CLOSED)),
            Wish::EndWhenIdle if self.owes_nobody() => {
                return Err(End::Own("the connection was let go"));
            }
            _ => {}
        }
        if wrote || read {
            return Ok(true);
        }
        self.keep_time(cx, now, empty)
    }

    /// Everything is written and nobody waits for an answer any more.
    fn owes_nobody(&self) -> bool {
        self.writing.is_empty() && self.awaiting.iter().all(|next| next.reply.is_closed())
    }

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
                        "the answer carries correlation id {echoed}, expected was {}",
                        next.correlation
                    ),
                    None => {
                        format!("an answer with correlation id {echoed} that nothing asked for")
                    }
                };
                Err(End::Failed(Error::new(ErrorKind::Decode, what)))
            }
        }
    }

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
        // Nobody waits any more where this fails: the answer is discarded, as asked for.
        let _ = request.reply.send(answer);
    }

    /// Ends what is late, and arms the timer for what comes next.
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
            // Armed too early it fires once for nothing, which is cheaper than to move it per request.
            if next < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(next);
            }
            return Ok(self.timer.as_mut().poll(cx).is_ready());
        }
        Ok(false)
    }

    /// The error of a connection on which a request got no answer in time.
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

    /// Fails all that is left: written or not is told by the count of bytes the stream took.
    fn end(&mut self, end: End) {
        self.ended = true;
        let now = Instant::now();
        let (error, own) = match end {
            End::Own(why) => (Error::new(ErrorKind::Transport, why), true),
            End::Idle => (idle(), true),
            End::Failed(error) => (error, false),
        };
        let error = self.peer.place(error);
        // Brokers and what stands between close connections that nobody uses; nothing is lost by that.
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
                // An earlier request is late: this one suffers with it, since answers come in order.
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
                // A request came in at the last moment: it is served.
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
    /// The task is gone without an end of its own: its runtime shut down, it was cut off, or it panicked. Deadlines are kept here
    /// alone, so that whatever the connection holds or is given later would otherwise never be answered.
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

/// With nothing asked for so long, the memory kept for large answers is given back.
const LULL: Duration = Duration::from_secs(1);
/// Rounds before the driver lets other tasks run.
const TURNS: usize = 64;
