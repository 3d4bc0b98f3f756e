//! A lane's worker: takes one record at a time through its route's service and settles it.

mod attempt;
mod line;
mod settle;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use milena_core::{BatchSize, ConsumerRecord, Offset, Routes, SharedRecord};
use tokio::task::consume_budget;
use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;

pub(crate) use attempt::{Answer, Begun, Place};
pub(crate) use wait::{hold, wait_or_stop, watched};

use attempt::Attempted;
use line::Line;

use crate::core::Core;
use crate::driven::Driven;
use crate::offsets::Ticket;
use crate::partition::Partition;
use crate::verdict::{Verdict, judge};

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
                    return Go::On;
                }
                Verdict::Again(wait) => {
                    // What passes from here on is waited for, and blocks nothing.
                    self.last = None;
                    if !wait_or_stop(&self.partition, wait).await {
                        return Go::Away;
                    }
                    attempt += 1;
                }
                Verdict::Hold(until) => {
                    self.last = None;
                    if !hold(&self.core, &self.partition, until).await {
                        return Go::Away;
                    }
                    // A record that was held is not slow: its time begins when it may be processed.
                    began = timed.then(Instant::now);
                }
                last => return self.give_up(route, ticket, last),
            }
        }
    }
}

/// A handler that takes so long without ever waiting is told of.
const BLOCKED: Duration = Duration::from_secs(1);
