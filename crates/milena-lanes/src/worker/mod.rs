//! The worker of a lane. It passes records through their routes' services and settles them.

mod attempt;
mod pace;
mod route_line;
mod verdict;
mod wait;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    BatchSeat, BatchSize, ConsumerRecord, Error, ErrorClass, Offset, Routes, SharedRecord,
    Timestamp,
};
use tokio::task::consume_budget;
use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;

pub(crate) use attempt::{Answer, Begun};
pub(crate) use verdict::Verdict;
pub(crate) use wait::watched;

use attempt::{Attempted, Number};
use pace::{Pace, Unwaited};
use route_line::RouteLines;
use verdict::judge;
use wait::{hold, wait_or_stop};

use crate::end::End;
use crate::feed::{LaneAtWork, Phase, Ticket};
use crate::reports::{Stuck, report_stuck, stop_lane};
use crate::routes::Driven;
use crate::source::{Feed, Source, Turn};
use crate::tally::LaneTally;

/// Processes the records of one lane. Owns a clone of each route's service that the lane has used.
pub(crate) struct Worker<F, R: Routes> {
    /// The feed whose records this lane processes.
    feed: F,
    /// The lane's hold of each route.
    lines: RouteLines<R>,
    /// Shows the current record and phase of this lane to health checks.
    at_work: LaneAtWork,
    /// The last readings of the clock.
    pace: Pace,
    /// The previous record, whose memory the next one reuses. Its key, value and headers are
    /// removed before the lane waits. `None` before the first record, and if something else still
    /// refers to it then.
    record: Option<SharedRecord>,
    /// Counts the records that this lane acknowledges.
    tally: LaneTally,
}

/// Course of the lane after a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// The lane takes the next record.
    On,
    /// The lane ends without settling its record.
    Away,
}

/// Route and number of an attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptAt {
    /// Index of the route.
    pub(crate) route: usize,
    /// Number of the attempt, from 1.
    pub(crate) attempt: u32,
}

/// The times of an attempt that has ended.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// The start of the attempt. `None` without a recorder.
    attempt: Option<Instant>,
    /// The start of the record, without its holds. `None` without a recorder.
    record: Option<Instant>,
    /// True if the attempt is the record's first and began with it. If it settles the record, one
    /// reading of the clock then ends both.
    at_once: bool,
}

impl<F: Feed, R: Driven> Worker<F, R> {
    /// Returns a worker for one more lane of the feed.
    pub(crate) fn new(feed: F, routes: Arc<R>) -> Self {
        Self {
            at_work: feed.dispatch().lane_at_work(),
            lines: RouteLines::new(routes),
            tally: feed.source().tally().lane(),
            feed,
            pace: Pace::default(),
            record: None,
        }
    }

    /// Processes a record that was delivered before, until it is settled.
    pub(crate) async fn process(&mut self, record: SharedRecord, ticket: Ticket) -> Go {
        if !self.feed.counts(ticket) {
            // A seek or a reset moved the position while the record waited for this lane. The
            // handler must not get it.
            return Go::On;
        }
        let go = self.process_shared(&record, ticket, None).await;
        self.keep(record);
        go
    }

    /// Moves a record into the memory of the previous one, if nothing refers to that any more.
    ///
    /// This is no part of `process`, whose future would copy the record once more.
    #[inline]
    pub(crate) fn share(&mut self, record: ConsumerRecord) -> SharedRecord {
        match self.record.take() {
            Some(mut shared) => {
                shared.replace(record);
                shared
            }
            None => SharedRecord::from(record),
        }
    }

    /// Keeps the memory of a record that is done, for the next one.
    #[inline]
    pub(crate) fn keep(&mut self, record: SharedRecord) {
        self.record = Some(record);
    }

    /// Releases the key, the value and the headers of the last record. Called before a wait, since
    /// they hold fetched bytes.
    #[inline]
    pub(crate) fn release(&mut self) {
        self.record = self.record.take().and_then(SharedRecord::emptied);
    }

    /// Processes a record until it is settled or its lane ends. Makes as many attempts as the
    /// verdicts ask for.
    pub(crate) async fn process_shared(
        &mut self,
        record: &SharedRecord,
        ticket: Ticket,
        delivered: Option<Instant>,
    ) -> Go {
        let route = self.lines.select(record);
        let timed = self.feed.source().rules().recorder.is_some();
        let mut began = timed.then(|| delivered.unwrap_or_else(Instant::now));
        self.at_work.takes(record.offset, route);
        let mut number = Number {
            attempt: 1,
            is_first: true,
        };
        loop {
            let rules = self.feed.source().rules();
            let line = self.lines.line(route, record, rules);
            let attempted = attempt::attempt(&self.feed, line, &self.at_work, record, number).await;
            let Some(Attempted {
                answer,
                began: waited,
                without_waiting,
            }) = attempted
            else {
                return Go::Away;
            };
            if !without_waiting {
                self.pace.waited();
            } else if number.is_first {
                self.pace.did_not_wait(delivered.map(|delivered| Unwaited {
                    delivered,
                    offset: record.offset,
                    route,
                }));
            }
            let at = AttemptAt {
                route,
                attempt: number.attempt,
            };
            let times = Times {
                attempt: waited.or(began),
                record: began,
                at_once: number.is_first && waited.is_none(),
            };
            number.is_first = false;
            match self.conclude(record, ticket, at, times, answer) {
                None => {
                    self.at_work.is_at(Phase::Idle);
                    return Go::On;
                }
                Some(Verdict::Again(wait)) => {
                    // Report a blocked thread now. The wait that follows would be counted as the
                    // handler's.
                    self.rest();
                    if !self.wait(wait).await {
                        return Go::Away;
                    }
                    number.attempt += 1;
                }
                Some(Verdict::Hold(until)) => {
                    self.rest();
                    let held = timed.then(Instant::now);
                    if !self.hold(until).await {
                        return Go::Away;
                    }
                    // The time of a record is the time of its processing, so the hold is left out.
                    began = began.zip(held).map(|(began, held)| began + held.elapsed());
                }
                Some(last) => return self.give_up(route, ticket, last),
            }
        }
    }

    /// Begins an attempt while other records of the lane are being processed. `alone` is true if
    /// there are none yet, and only then this waits until the service is ready.
    pub(crate) async fn begin(
        &mut self,
        record: &SharedRecord,
        at: AttemptAt,
        seat: &BatchSeat,
        alone: bool,
    ) -> Begun<impl Future<Output = Answer> + Send + use<F, R>> {
        let rules = self.feed.source().rules();
        let line = self.lines.line(at.route, record, rules);
        let dispatch = self.feed.dispatch();
        let readiness = if alone {
            self.at_work.is_at(Phase::Ready);
            match attempt::poll_ready(&mut line.service, dispatch).await {
                Some((readiness, _)) => readiness,
                None => return Begun::Away,
            }
        } else {
            match attempt::ready_now(&mut line.service) {
                Some(readiness) => readiness,
                None => {
                    // A clone that waits for readiness may hold a place in a queue, such as that of
                    // a concurrency limit. The other records of the batch may have to wait in the
                    // same queue again, so a new clone gives the place up.
                    self.lines.renew(at.route);
                    return Begun::NotReady;
                }
            }
        };
        let incoming = attempt::incoming(dispatch, record, at.attempt);
        self.at_work.is_at(Phase::Handler);
        Begun::Running(attempt::begin(line, readiness, incoming, seat))
    }

    /// Applies the answer to an attempt made beside others, which began at this time. Returns
    /// `None` if the record is settled, and otherwise the verdict on it.
    pub(crate) fn ended(
        &mut self,
        record: &SharedRecord,
        ticket: Ticket,
        at: AttemptAt,
        began: Instant,
        answer: Answer,
    ) -> Option<Verdict> {
        let timed = self.feed.source().rules().recorder.is_some();
        let times = Times {
            attempt: Some(began),
            record: timed.then_some(began),
            at_once: false,
        };
        self.conclude(record, ticket, at, times, answer)
    }

    /// Judges an answer, records the attempt, and settles the record if it is done. Returns `None`
    /// then, and otherwise the verdict.
    #[inline]
    fn conclude(
        &mut self,
        record: &SharedRecord,
        ticket: Ticket,
        at: AttemptAt,
        times: Times,
        answer: Answer,
    ) -> Option<Verdict> {
        let AttemptAt { route, attempt } = at;
        let rules = self.feed.source().rules();
        let line = self.lines.line(route, record, rules);
        let end = match &answer {
            Ok(outcome) => Ok(outcome.name()),
            Err(error) => Err(error.class()),
        };
        let verdict = judge(answer, attempt, line.patience);
        match &verdict {
            // Nearly all records settle with their first attempt. One reading of the clock then
            // ends both the attempt and the record.
            Verdict::Settle(_) if times.at_once => {}
            // A hold is not an attempt, because the time of the record has not come.
            Verdict::Hold(_) => {}
            _ => line.record_attempt(attempt, times.attempt, end),
        }
        let Verdict::Settle(settled) = verdict else {
            if end == Err(ErrorClass::Panic) {
                self.lines.drop_broken(route);
            }
            return Some(verdict);
        };
        let now = times.record.map(|_| Instant::now());
        self.pace.settled_at(now);
        if let Some((began, now)) = times.record.zip(now) {
            line.record_settled(now - began, settled, times.at_once);
        }
        let tally = self.feed.source().tally();
        if !self.feed.settle(ticket, settled) {
            tally.add_late();
        }
        tally.add(&self.tally, settled);
        None
    }

    /// Ends the lane or the run, as the verdict says.
    #[cold]
    pub(crate) fn give_up(&self, route: usize, ticket: Ticket, verdict: Verdict) -> Go {
        let feed = &self.feed;
        let at = |error: Error| error.at(feed.place()).offset(ticket.offset);
        match verdict {
            Verdict::Stop(reason) => {
                tracing::info!(partition = %feed.place(), %reason, "the handler stops the consumer");
                feed.stop();
                feed.source().end(End::Stopped(reason));
            }
            Verdict::Fail(error) => {
                feed.stop();
                feed.source().end(End::Failed(at(error)));
            }
            // A layer gave up waiting because the feed is given back. The next owner processes the
            // record.
            Verdict::Stuck(_) if feed.dispatch().is_stopping() => {}
            Verdict::Stuck(error) => stop_lane(feed, self.lines.name(route), &at(error)),
            Verdict::Settle(_) | Verdict::Again(_) | Verdict::Hold(_) => {}
        }
        Go::Away
    }

    /// Reports a handler that blocked its thread for a second or longer. A timer cannot do it,
    /// because nothing else runs on a blocked thread. `now` comes from a reading of the clock that
    /// is needed anyway.
    #[inline]
    fn notice(&mut self, now: Instant) {
        if let Some((record, elapsed)) = self.pace.blocked(now) {
            self.report_blocked(record, elapsed);
        }
    }

    #[cold]
    fn report_blocked(&self, record: Unwaited, elapsed: Duration) {
        let Unwaited { offset, route, .. } = record;
        self.feed.has_moved();
        let route = self.lines.name(route);
        tracing::warn!(
            partition = %self.feed.place(), %offset, route, ?elapsed,
            "a handler blocked its thread, where no other task could run meanwhile: move such work to `spawn_blocking`"
        );
        if elapsed >= self.feed.source().rules().max_processing_time {
            let stuck = Stuck {
                route,
                offset,
                elapsed,
                first: false,
            };
            report_stuck(&self.feed, stuck);
        }
    }

    /// Yields to other tasks if this task has used up its budget.
    pub(crate) async fn yield_in_turn(&mut self) {
        if !has_budget_remaining() {
            self.rest();
        }
        consume_budget().await;
    }

    /// Waits until the time that the handler asked for, with the feed paused. Returns false if the
    /// feed is given back meanwhile.
    pub(crate) async fn hold(&mut self, until: Timestamp) -> bool {
        self.at_work.holds(until);
        let went_by = hold(&self.feed, until).await;
        self.at_work.held();
        went_by
    }

    /// Waits before the next attempt at the record. Returns false if the feed is given back
    /// meanwhile.
    pub(crate) async fn wait(&mut self, time: Duration) -> bool {
        self.at_work.is_at(Phase::Again);
        wait_or_stop(&self.feed, time).await
    }

    /// Shows that the lane has a record of a batch. `first` is true for the first record of the
    /// batch.
    pub(crate) fn takes(&self, offset: Offset, route: usize, first: bool) {
        if first {
            self.at_work.takes(offset, route);
        } else {
            self.at_work.takes_too(offset);
        }
    }

    /// Shows the current phase of the lane.
    pub(crate) fn is_at(&self, phase: Phase) {
        self.at_work.is_at(phase);
    }

    /// Returns the index of the record's route.
    pub(crate) fn route_of(&self, record: &ConsumerRecord) -> usize {
        self.lines.select(record)
    }

    /// Returns the name of a route.
    pub(crate) fn route_name(&self, route: usize) -> Arc<str> {
        let info = self.lines.info(route);
        info.map_or_else(|| "".into(), |info| Arc::clone(&info.name))
    }

    /// Returns the batch size of the route. `None` if the route takes single records.
    pub(crate) fn batch_size(&self, route: usize) -> Option<BatchSize> {
        self.lines.batch_size(route)
    }
}

impl<F: Feed, R: Driven> Turn for Worker<F, R> {
    /// Reuses the reading of the clock that settled the previous record, if there is one.
    #[inline]
    fn now(&mut self) -> Instant {
        let now = self.pace.next();
        self.notice(now);
        now
    }

    /// The last reading of the clock is no longer valid after this.
    fn rest(&mut self) {
        self.release();
        if self.pace.rest() {
            self.notice(Instant::now());
        }
    }
}
