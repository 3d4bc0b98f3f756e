//! The worker of a lane. It passes one record at a time through its route's service and settles it.

mod attempt;
mod line;
mod settle;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use milena_core::{BatchSize, ConsumerRecord, Offset, Routes, SharedRecord, Timestamp};
use tokio::task::consume_budget;
use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;

pub(crate) use attempt::{Answer, Begun, Place};
pub(crate) use wait::watched;

use attempt::Attempted;
use line::Line;
use wait::{hold, wait_or_stop};

use crate::core::Core;
use crate::driven::Driven;
use crate::offsets::Ticket;
use crate::panics::named;
use crate::partition::{LaneAtWork, Partition, Phase};
use crate::verdict::{Verdict, judge};

/// Processes the records of one lane. Owns a clone of each route's service that the lane has used.
pub(crate) struct Worker<R: Routes> {
    /// State that all tasks of the consumer share.
    core: Arc<Core>,
    /// The consumer's routes, shared by all lanes.
    routes: Arc<R>,
    /// Partition whose records this lane processes.
    partition: Arc<Partition>,
    /// Shows the current record and phase of this lane to health checks.
    at_work: LaneAtWork,
    /// The lane's hold of each route, by route index. `None` until the first record of the route,
    /// and after a panic.
    lines: Vec<Option<Line<R::Service>>>,
    /// Time at which the previous record was settled. The next record begins at the same time,
    /// which saves a reading of the clock. `None` if the clock was not read, or the lane waited
    /// since.
    settled: Option<Instant>,
    /// Time of delivery, offset and route of the previous record. `None` unless its handler
    /// answered without ever waiting.
    last: Option<(Instant, Offset, usize)>,
    /// Allocation of the previous record, reused by the next one. `None` if something still refers
    /// to it.
    record: Option<SharedRecord>,
}

/// Course of the lane after a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
/// The lane takes the next record.
pub(crate) enum Go {
    On,
    /// The lane ends without settling its record.
    Away,
}

impl<R: Driven> Worker<R> {
    pub(crate) fn new(core: Arc<Core>, routes: Arc<R>, partition: Arc<Partition>) -> Self {
        let lines = routes.routes().iter().map(|_| None).collect();
        Self {
            core,
            routes,
            at_work: partition.lane_at_work(),
            partition,
            lines,
            settled: None,
            last: None,
            record: None,
        }
    }

    /// Returns the time at which the next record begins. Reuses the reading of the clock that
    /// settled the previous one, if there is one.
    pub(crate) fn now(&mut self) -> Instant {
        let now = self.settled.take().unwrap_or_else(Instant::now);
        self.notice(now);
        now
    }

    /// Reports a handler that blocked its thread for [`BLOCKED`] or longer. A timer cannot do it,
    /// because nothing else runs on a blocked thread. `now` comes from a reading of the clock that
    /// is needed anyway.
    fn notice(&mut self, now: Instant) {
        let Some((began, offset, route)) = self.last.take() else {
            return;
        };
        let elapsed = now.saturating_duration_since(began);
        if elapsed < BLOCKED {
            return;
        }
        self.partition.has_moved();
        let name = self.routes.routes().get(route);
        let name = name.map(|info| Arc::clone(&info.name));
        let name = name.as_deref().unwrap_or_default();
        tracing::warn!(
            partition = %self.partition.place(), %offset, route = name, ?elapsed,
            "a handler blocked its thread, where no other task could run meanwhile: move such work to `spawn_blocking`"
        );
        if elapsed >= self.core.settings.max_processing_time {
            self.core
                .handler_stuck(&self.partition, name, offset, elapsed, false);
        }
    }

    /// Yields to other tasks if this task has used up its budget.
    pub(crate) async fn yield_in_turn(&mut self) {
        if !has_budget_remaining() {
            self.rest();
        }
        consume_budget().await;
    }

    /// Prepares for a wait before the next record. The last reading of the clock is no longer valid
    /// after it.
    pub(crate) fn rest(&mut self) {
        if self.last.is_some() {
            self.notice(Instant::now());
        }
        self.settled = None;
    }

    /// Processes a delivered record until it is settled. `began` is the time of delivery, if the
    /// clock was just read.
    pub(crate) async fn process(
        &mut self,
        record: ConsumerRecord,
        ticket: Ticket,
        began: Option<Instant>,
    ) -> Go {
        if !self.partition.counts(ticket) {
            // A seek or a reset moved the position while the record waited for this lane. The
            // handler must not get it.
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

    /// Waits until the time that the handler asked for, with the partition paused. Returns false if
    /// the partition is given back meanwhile.
    pub(crate) async fn hold(&mut self, until: Timestamp) -> bool {
        self.at_work.holds(until);
        let went_by = hold(&self.core, &self.partition, until).await;
        self.at_work.held();
        went_by
    }

    /// Waits before the next attempt at the record. Returns false if the partition is given back
    /// meanwhile.
    pub(crate) async fn wait(&mut self, time: Duration) -> bool {
        self.at_work.is_at(Phase::Again);
        wait_or_stop(&self.partition, time).await
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
        let last = self.lines.len().saturating_sub(1);
        let select = || self.routes.select(record);
        named("a condition of the routes", select).min(last)
    }

    /// Returns the batch size of the route. `None` if the route takes single records.
    pub(crate) fn batch_size(&self, route: usize) -> Option<BatchSize> {
        self.routes.routes().get(route)?.batch
    }

    pub(crate) fn routes(&self) -> Arc<R> {
        Arc::clone(&self.routes)
    }

    /// Processes a record until it is settled or its lane ends. Makes as many attempts as the
    /// verdicts ask for.
    pub(crate) async fn process_shared(
        &mut self,
        record: &SharedRecord,
        ticket: Ticket,
        began: Option<Instant>,
    ) -> Go {
        let route = self.route_of(record);
        let delivered = began;
        let timed = self.core.settings.recorder.is_some();
        let mut began = timed.then(|| began.unwrap_or_else(Instant::now));
        self.at_work.takes(record.offset, route);
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
            // Nearly all records settle with their first attempt. One reading of the clock then
            // ends both the attempt and the record.
            let at_once = first && waited.is_none();
            first = false;
            match (&verdict, end) {
                (Verdict::Settle(outcome), Ok(end)) if at_once && *outcome == end => {}
                // A hold is not an attempt, because the time of the record has not come.
                (Verdict::Hold(_), _) => {}
                _ => self.record_attempt(route, attempt, waited.or(began), end),
            }
            self.distrust(route, end);
            match verdict {
                Verdict::Settle(outcome) => {
                    let at_once = at_once && end == Ok(outcome);
                    self.settled = timed.then(Instant::now);
                    let elapsed = began.and_then(|began| Some(self.settled? - began));
                    self.settle(route, record, ticket, outcome, elapsed, at_once);
                    self.at_work.is_at(Phase::Idle);
                    return Go::On;
                }
                Verdict::Again(wait) => {
                    // Report a blocked thread now. The wait that follows would be counted as the
                    // handler's.
                    self.rest();
                    if !self.wait(wait).await {
                        return Go::Away;
                    }
                    attempt += 1;
                }
                Verdict::Hold(until) => {
                    self.rest();
                    let held = timed.then(Instant::now);
                    if !self.hold(until).await {
                        return Go::Away;
                    }
                    // The time of a record is the time of its processing, so the hold is left out.
                    began = began.zip(held).map(|(began, held)| began + held.elapsed());
                }
                last => return self.give_up(route, ticket, last),
            }
        }
    }
}

/// Time after which a handler that never waits is reported to block its thread.
const BLOCKED: Duration = Duration::from_secs(1);
