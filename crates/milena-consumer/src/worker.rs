//! A lane's worker: takes one record at a time through its route's service and settles it.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use milena_core::{
    BatchSeat, BatchSize, BoxError, ConsumerRecord, Error, ErrorClass, Extensions, Incoming,
    Offset, Outcome, ProcessError, Recording, RouteLabels, RouteRecorder, Routes, SharedRecord,
    Timestamp,
};
use tokio::task::consume_budget;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, sleep, sleep_until};
use tower_service::Service;

use crate::core::{Core, End};
use crate::offsets::Ticket;
use crate::partition::Partition;
use crate::verdict::{Patience, Verdict, judge};

/// One lane's way to process a record; owns a clone of each route's service that it has used.
pub(crate) struct Worker<R: Routes> {
    core: Arc<Core>,
    routes: Arc<R>,
    partition: Arc<Partition>,
    lines: Vec<Option<Line<R::Service>>>,
    /// When the record before was settled, where the clock was read for it and nothing was waited for since.
    settled: Option<Instant>,
    /// The record before, where its handler answered without ever waiting: when it was delivered, and what it was.
    last: Option<(Instant, Offset, usize)>,
    /// Memory for the next record.
    record: Option<SharedRecord>,
}

/// A route, as one lane holds it.
struct Line<S> {
    service: S,
    recorder: Option<Arc<dyn RouteRecorder>>,
    /// Whether a layer records the attempts in place of this.
    is_recorded: bool,
    /// What each record carries: the recorder for that layer.
    extensions: Extensions,
    patience: Patience,
}

/// Where an attempt is made, and which it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) route: usize,
    pub(crate) attempt: u32,
}

/// An attempt that has ended.
struct Attempted {
    answer: Answer,
    /// When it began, where it did not begin at once.
    began: Option<Instant>,
    /// Whether it ended in one go.
    without_waiting: bool,
}

/// What came of beginning an attempt beside others.
pub(crate) enum Begun<F> {
    Running(F),
    NotReady,
    /// The partition is given back.
    Away,
}

pub(crate) type Answer = Result<Outcome, ProcessError>;

/// Whether the lane goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    /// The lane ends; its record is not settled.
    Away,
}

impl<R> Worker<R>
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome>,
    <R::Service as Service<Incoming>>::Error: Into<BoxError>,
    <R::Service as Service<Incoming>>::Future: Send + 'static,
{
    pub(crate) fn new(core: Arc<Core>, routes: Arc<R>, partition: Arc<Partition>) -> Self {
        let lines = routes.routes().iter().map(|_| None).collect();
        Self {
            core,
            routes,
            partition,
            lines,
            settled: None,
            last: None,
            record: None,
        }
    }

    /// The time, by one look at the clock for the end of a record and the beginning of the next.
    pub(crate) fn now(&mut self) -> Instant {
        let now = self.settled.take().unwrap_or_else(Instant::now);
        self.notice(now);
        now
    }

    /// Tells of a handler that has blocked its thread, which no timer could tell of meanwhile. By the clock that is read anyway.
    fn notice(&mut self, now: Instant) {
        let Some((began, offset, route)) = self.last.take() else {
            return;
        };
        let elapsed = now.saturating_duration_since(began);
        if elapsed < BLOCKED {
            return;
        }
        let name = self.routes.routes().get(route);
        let name = name.map(|info| Arc::clone(&info.name));
        let name = name.as_deref().unwrap_or_default();
        tracing::warn!(
            partition = %self.partition.place(), %offset, route = name, ?elapsed,
            "a handler has blocked its thread, and with it whatever else runs there; such work belongs in `spawn_blocking`"
        );
        if elapsed >= self.core.settings.max_processing_time {
            self.core
                .handler_stuck(&self.partition, name, offset, elapsed, false);
        }
    }

    /// Lets other tasks have their turn, when it is theirs.
    pub(crate) async fn yield_in_turn(&mut self) {
        if !has_budget_remaining() {
            self.rest();
        }
        consume_budget().await;
    }

    /// Something is waited for before the next record.
    pub(crate) fn rest(&mut self) {
        if self.last.is_some() {
            self.notice(Instant::now());
        }
        self.settled = None;
    }

    /// Processes a delivered record to its end; `began`, where the clock was read just now.
    pub(crate) async fn process(
        &mut self,
        record: ConsumerRecord,
        ticket: Ticket,
        began: Option<Instant>,
    ) -> Go {
        if !self.partition.counts(ticket) {
            // Overtaken by a seek while it waited for this lane: it is not for the handler any more.
            return Go::On;
        }
        let record = match self.record.take() {
            Some(mut shared) => {
                shared.replace(record);
                shared
            }
            None => SharedRecord::from(record),
        };
        let go = self.process_shared(&record, ticket, began).await;
        self.record = record.emptied();
        go
    }

    /// The route of a record.
    pub(crate) fn route_of(&self, record: &ConsumerRecord) -> usize {
        let last = self.lines.len().saturating_sub(1);
        self.routes.select(record).min(last)
    }

    /// How many records the route takes together; `None` where it takes one.
    pub(crate) fn batch_size(&self, route: usize) -> Option<BatchSize> {
        self.routes.routes().get(route)?.batch
    }

    pub(crate) fn routes(&self) -> Arc<R> {
        Arc::clone(&self.routes)
    }

    /// Begins an attempt beside others. Waits for readiness only where there are no others.
    pub(crate) async fn begin(
        &mut self,
        record: &SharedRecord,
        place: Place,
        seat: &BatchSeat,
        alone: bool,
    ) -> Begun<impl Future<Output = Answer> + Send + use<R>> {
        self.line(place.route, record);
        let (routes, partition) = (&self.routes, &self.partition);
        let Some(Some(line)) = self.lines.get_mut(place.route) else {
            return Begun::Away;
        };
        let readiness = if alone {
            match poll_ready(&mut line.service, partition).await {
                Some((readiness, _)) => readiness,
                None => return Begun::Away,
            }
        } else {
            match ready_now(&mut line.service) {
                Some(readiness) => readiness,
                None => {
                    // It must not keep a place in a queue in which the others may have to wait again.
                    line.service = routes.service(place.route);
                    return Begun::NotReady;
                }
            }
        };
        let cancel = partition.cancel_token().clone();
        let stopping = partition.stopping_token().clone();
        let mut incoming = Incoming::with_tokens(record.clone(), cancel, stopping);
        incoming.attempt = place.attempt;
        incoming.extensions = line.extensions.clone();
        incoming.extensions.insert(seat.clone());
        let calling = readiness.map(|()| started(&mut line.service, incoming));
        Begun::Running(async move {
            match calling {
                Ok(calling) => calling.await,
                Err(error) => Err(error),
            }
        })
    }

    /// What an attempt beside others came to: settled, or what is to become of the record.
    pub(crate) fn ended(
        &mut self,
        record: &SharedRecord,
        ticket: Ticket,
        place: Place,
        began: Instant,
        answer: Answer,
    ) -> Option<Verdict> {
        let Place { route, attempt } = place;
        let patience = self.line(route, record).patience;
        let end = match &answer {
            Ok(outcome) => Ok(outcome.name()),
            Err(error) => Err(error.class()),
        };
        let verdict = judge(answer, attempt, patience);
        if !matches!(verdict, Verdict::Hold(_)) {
            self.record_attempt(route, attempt, Some(began), end);
        }
        self.distrust(route, end);
        match verdict {
            Verdict::Settle(outcome) => {
                let timed = self.core.settings.recorder.is_some();
                let elapsed = timed.then(|| began.elapsed());
                self.settle(route, record, ticket, outcome, elapsed, false);
                None
            }
            verdict => Some(verdict),
        }
    }

    /// What a panic left of the service is not to be trusted.
    fn distrust(&mut self, route: usize, end: Result<&'static str, ErrorClass>) {
        if end == Err(ErrorClass::Panic)
            && let Some(slot) = self.lines.get_mut(route)
        {
            *slot = None;
        }
    }

    /// Ends the lane, or the consumer, as the verdict says.
    pub(crate) fn give_up(&self, route: usize, ticket: Ticket, verdict: Verdict) -> Go {
        let at = |error: Error| error.at(self.partition.place()).offset(ticket.offset);
        match verdict {
            Verdict::Stop(reason) => {
                tracing::info!(partition = %self.partition.place(), %reason, "the handler stops the consumer");
                self.partition.stop();
                self.core.end(End::Stopped(reason));
            }
            Verdict::Fail(error) => {
                self.partition.stop();
                self.core.end(End::Failed(at(error)));
            }
            // Its layers gave up waiting, since the next owner is to go on.
            Verdict::Stuck(_) if self.partition.is_stopping() => {}
            Verdict::Stuck(error) => {
                let info = self.routes.routes().get(route);
                let name = info.map(|info| Arc::clone(&info.name));
                self.partition.stop();
                let name = name.as_deref().unwrap_or_default();
                self.core.lane_stopped(&self.partition, name, &at(error));
            }
            Verdict::Settle(_) | Verdict::Again(_) | Verdict::Hold(_) => {}
        }
        Go::Away
    }

    pub(crate) async fn process_shared(
        &mut self,
        record: &SharedRecord,
        ticket: Ticket,
        began: Option<Instant>,
    ) -> Go {
        let route = self.route_of(record);
        let delivered = began;
        let timed = self.core.settings.recorder.is_some();
        let began = timed.then(|| began.unwrap_or_else(Instant::now));
        let mut attempt = 1;
        let mut first = true;
        loop {
            let Some(attempted) = self.attempt(route, record, attempt, first).await else {
                return Go::Away;
            };
            let Attempted {
                answer,
                began: waited,
                without_waiting,
            } = attempted;
            if first && without_waiting {
                self.last = delivered.map(|at| (at, record.offset, route));
            }
            let patience = self.line(route, record).patience;
            let end = match &answer {
                Ok(outcome) => Ok(outcome.name()),
                Err(error) => Err(error.class()),
            };
            let verdict = judge(answer, attempt, patience);
            // Nearly all records settle with their first attempt: one look at the clock does for both.
            let at_once = first && waited.is_none();
            first = false;
            match (&verdict, end) {
                (Verdict::Settle(outcome), Ok(end)) if at_once && *outcome == end => {}
                _ => self.record_attempt(route, attempt, waited.or(began), end),
            }
            self.distrust(route, end);
            match verdict {
                Verdict::Settle(outcome) => {
                    let at_once = at_once && end == Ok(outcome);
                    self.settled = timed.then(Instant::now);
                    let elapsed = began.and_then(|began| Some(self.settled? - began));
                    self.settle(route, record, ticket, outcome, elapsed, at_once);
                    return Go::On;
                }
                Verdict::Again(wait) => {
                    if !wait_or_stop(&self.partition, wait).await {
                        return Go::Away;
                    }
                    attempt += 1;
                }
                Verdict::Hold(until) => {
                    if !hold(&self.core, &self.partition, until).await {
                        return Go::Away;
                    }
                }
                last => return self.give_up(route, ticket, last),
            }
        }
    }

    /// Counts an attempt that began then, unless a layer does.
    fn record_attempt(
        &self,
        route: usize,
        attempt: u32,
        began: Option<Instant>,
        end: Result<&'static str, ErrorClass>,
    ) {
        if let Some(Some(line)) = self.lines.get(route)
            && let (Some(recorder), false, Some(began)) = (&line.recorder, line.is_recorded, began)
        {
            recorder.attempt(attempt, began.elapsed(), end);
        }
    }

    /// One attempt; `None` when the partition is given back before it began.
    async fn attempt(
        &mut self,
        route: usize,
        record: &SharedRecord,
        attempt: u32,
        first: bool,
    ) -> Option<Attempted> {
        self.line(route, record);
        let Self {
            core,
            routes,
            partition,
            lines,
            ..
        } = self;
        let Some(Some(line)) = lines.get_mut(route) else {
            return None;
        };
        let (readiness, at_once) = poll_ready(&mut line.service, partition).await?;
        // Reading the clock costs as much as all else here: only for somebody who asks, and no more often than needed.
        let timed = line.recorder.is_some() && !(at_once && first);
        let began = timed.then(Instant::now);
        let (answer, without_waiting) = match readiness {
            Ok(()) => {
                let cancel = partition.cancel_token().clone();
                let stopping = partition.stopping_token().clone();
                let mut incoming = Incoming::with_tokens(record.clone(), cancel, stopping);
                incoming.attempt = attempt;
                incoming.extensions = line.extensions.clone();
                let calling = started(&mut line.service, incoming);
                watched(core, partition, &**routes, route, record.offset, calling).await
            }
            Err(error) => (Err(error), false),
        };
        Some(Attempted {
            answer,
            began,
            without_waiting: without_waiting && at_once,
        })
    }

    fn line(&mut self, route: usize, record: &ConsumerRecord) -> &mut Line<R::Service> {
        if self.lines.len() <= route {
            self.lines.resize_with(route + 1, || None);
        }
        let (core, routes) = (&self.core, &self.routes);
        #[expect(clippy::indexing_slicing, reason = "made that long above")]
        self.lines[route].get_or_insert_with(|| {
            let info = routes.routes().get(route);
            let recorder = core.settings.recorder.as_ref().map(|recorder| {
                let name = info.map_or_else(|| "handler".into(), |info| Arc::clone(&info.name));
                recorder.route(&RouteLabels::new(
                    core.settings.group_name(),
                    &record.topic,
                    name,
                ))
            });
            let is_recorded = info.is_some_and(|info| info.records_attempts);
            let mut extensions = Extensions::new();
            if let Some(recorder) = recorder.as_ref().filter(|_| is_recorded) {
                extensions.insert(Recording(Arc::clone(recorder)));
            }
            Line {
                service: routes.service(route),
                recorder,
                is_recorded,
                extensions,
                patience: Patience {
                    attempts: core.settings.max_attempts,
                    backoff: core.settings.retry_backoff,
                    dead_letters: info.is_some_and(|info| info.dead_letters),
                },
            }
        })
    }

    fn settle(
        &mut self,
        route: usize,
        record: &ConsumerRecord,
        ticket: Ticket,
        outcome: &'static str,
        elapsed: Option<Duration>,
        at_once: bool,
    ) {
        if let Some(elapsed) = elapsed {
            let line = self.line(route, record);
            match (&line.recorder, line.is_recorded) {
                (Some(recorder), false) if at_once => recorder.settled_at_once(elapsed, outcome),
                (Some(recorder), _) => recorder.record(elapsed, outcome),
                (None, _) => {}
            }
        }
        let counts = &self.core.counts;
        if !self.partition.settle(ticket) {
            counts.late.fetch_add(1, Ordering::Relaxed);
        }
        let count = match outcome {
            "ack" => return counts.processed.add_one(self.partition.place()),
            "dead_lettered" => &counts.dead_lettered,
            "forwarded" => &counts.forwarded,
            _ => &counts.skipped,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits; `false` when the partition is given back meanwhile.
pub(crate) async fn wait_or_stop(partition: &Partition, time: Duration) -> bool {
    tokio::select! {
        biased;
        () = partition.stopped() => false,
        () = sleep(time) => true,
    }
}

/// Waits for that time with the partition paused.
pub(crate) async fn hold(core: &Core, partition: &Partition, until: Timestamp) -> bool {
    let by: Arc<str> = "hold".into();
    let now = (core.settings.clock)();
    // A clock that stands still, or a time that is past, must not make this spin.
    let time = until.since(now).max(Duration::from_millis(1));
    let reason = format!("the handler holds its record for {time:?}");
    core.pause(partition, &by, &reason.into());
    let went_by = wait_or_stop(partition, time).await;
    core.resume(partition, &by);
    went_by
}

/// Waits until the service is ready, without a deadline; `None` when the partition is given back meanwhile.
/// Also tells whether it was ready at once.
async fn poll_ready<S>(
    service: &mut S,
    partition: &Partition,
) -> Option<(Result<(), ProcessError>, bool)>
where
    S: Service<Incoming>,
    S::Error: Into<BoxError>,
{
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx).map_err(classify));
    let mut ready = std::pin::pin!(AssertUnwindSafe(ready).catch_unwind());
    if let Some(ended) = ready.as_mut().now_or_never() {
        return Some((flat(ended), true));
    }
    tokio::select! {
        biased;
        () = partition.stopped() => None,
        ended = ready => Some((flat(ended), false)),
    }
}

/// Whether the service is ready now; `None` where it is to be waited for.
fn ready_now<S>(service: &mut S) -> Option<Result<(), ProcessError>>
where
    S: Service<Incoming>,
    S::Error: Into<BoxError>,
{
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx).map_err(classify));
    AssertUnwindSafe(ready)
        .catch_unwind()
        .now_or_never()
        .map(flat)
}

/// Calls the service now; what it returns answers for a panic too.
fn started<S>(service: &mut S, incoming: Incoming) -> impl Future<Output = Answer> + use<S>
where
    S: Service<Incoming, Response = Outcome>,
    S::Error: Into<BoxError>,
{
    // `call` itself may panic too. It is no part of the future below, through which the record would be copied some times more.
    let called = std::panic::catch_unwind(AssertUnwindSafe(|| service.call(incoming)));
    async move {
        match called {
            Ok(answer) => {
                let answer = async { answer.await.map_err(classify) };
                flat(AssertUnwindSafe(answer).catch_unwind().await)
            }
            Err(panic) => flat(Err(panic)),
        }
    }
}

/// Awaits a handler's answer; one that takes too long is reported by name and offset, each time as much has passed. Also tells whether
/// it was there at once.
pub(crate) async fn watched<R: Routes, T>(
    core: &Core,
    partition: &Partition,
    routes: &R,
    route: usize,
    offset: Offset,
    calling: impl Future<Output = T>,
) -> (T, bool) {
    let mut calling = std::pin::pin!(calling);
    // Most answers are there at once, and need no timer.
    let first = std::future::poll_fn(|cx| Poll::Ready(calling.as_mut().poll(cx))).await;
    if let Poll::Ready(answer) = first {
        return (answer, true);
    }
    let began = Instant::now();
    let limit = core.settings.max_processing_time;
    let mut reported = 0_u32;
    loop {
        reported = reported.saturating_add(1);
        let answer = tokio::select! {
            biased;
            answer = &mut calling => Some(answer),
            () = sleep_until(began + limit.saturating_mul(reported)) => None,
        };
        // One that blocks its thread is told of afterwards, and is not stuck then.
        let late = began.elapsed() >= limit.saturating_mul(reported);
        let answer = match answer {
            Some(answer) if !late => return (answer, false),
            answer => answer,
        };
        let name = routes
            .routes()
            .get(route)
            .map(|info| Arc::clone(&info.name));
        let name = name.as_deref().unwrap_or_default();
        let stuck = reported == 1 && answer.is_none();
        core.handler_stuck(partition, name, offset, began.elapsed(), stuck);
        if let Some(answer) = answer {
            return (answer, false);
        }
    }
}

fn classify(error: impl Into<BoxError>) -> ProcessError {
    ProcessError::from_boxed(error.into())
}

/// A panic is an error like others, of a class of its own.
fn flat<T>(ended: Result<Result<T, ProcessError>, Box<dyn Any + Send>>) -> Result<T, ProcessError> {
    ended.unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let what = format!("the handler panicked: {}", text.unwrap_or("no text"));
        Err(ProcessError::new(ErrorClass::Panic, what))
    })
}

/// A handler that takes so long without ever waiting is told of.
const BLOCKED: Duration = Duration::from_secs(1);
