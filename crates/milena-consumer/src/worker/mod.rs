//! A lane's worker: takes one record at a time through its route's service and settles it.

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
use crate::partition::{LaneAtWork, Partition, Phase};
use crate::supervise::named;
use crate::verdict::{Verdict, judge};

/// One lane's way to process a record; owns a clone of each route's service that it has used.
pub(crate) struct Worker<R: Routes> {
    core: Arc<Core>,
    routes: Arc<R>,
    partition: Arc<Partition>,
    /// What this lane is at, for whoever asks.
    at_work: LaneAtWork,
    lines: Vec<Option<Line<R::Service>>>,
    /// When the record before was settled, where the clock was read for it and nothing was waited for since.
    settled: Option<Instant>,
    /// The record before, where its handler answered without ever waiting: when it was delivered, and what it was.
    last: Option<(Instant, Offset, usize)>,
    /// Memory for the next record.
    record: Option<SharedRecord>,
}

/// Whether the lane goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    On,
    /// The lane ends; its record is not settled.
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
        self.partition.has_moved();
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

    /// Waits for the time of the record that the lane has; `false` when the partition is given back meanwhile.
    pub(crate) async fn hold(&mut self, until: Timestamp) -> bool {
        self.at_work.holds(until);
        let went_by = hold(&self.core, &self.partition, until).await;
        self.at_work.held();
        went_by
    }

    /// Waits before the next attempt at the record; `false` when the partition is given back meanwhile.
    pub(crate) async fn wait(&mut self, time: Duration) -> bool {
        self.at_work.is_at(Phase::Again);
        wait_or_stop(&self.partition, time).await
    }

    /// The lane takes a record for a batch of which it is the first, or not.
    pub(crate) fn takes(&self, offset: Offset, route: usize, first: bool) {
        if first {
            self.at_work.takes(offset, route);
        } else {
            self.at_work.takes_too(offset);
        }
    }

    /// The lane does that now.
    pub(crate) fn is_at(&self, phase: Phase) {
        self.at_work.is_at(phase);
    }

    /// The route of a record.
    pub(crate) fn route_of(&self, record: &ConsumerRecord) -> usize {
        let last = self.lines.len().saturating_sub(1);
        let select = || self.routes.select(record);
        named("a condition of the routes", select).min(last)
    }

    /// How many records the route takes together; `None` where it takes one.
    pub(crate) fn batch_size(&self, route: usize) -> Option<BatchSize> {
        self.routes.routes().get(route)?.batch
    }

    pub(crate) fn routes(&self) -> Arc<R> {
        Arc::clone(&self.routes)
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
            // Nearly all records settle with their first attempt: one look at the clock does for both.
            let at_once = first && waited.is_none();
            first = false;
            match (&verdict, end) {
                (Verdict::Settle(outcome), Ok(end)) if at_once && *outcome == end => {}
                // Not an attempt: its time has not come.
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
                    // What follows is a wait, and no handler that blocks its thread.
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
                    // The time of a record is that of its processing.
                    began = began.zip(held).map(|(began, held)| began + held.elapsed());
                }
                last => return self.give_up(route, ticket, last),
            }
        }
    }
}

/// A handler that takes so long without ever waiting is told of.
const BLOCKED: Duration = Duration::from_secs(1);
