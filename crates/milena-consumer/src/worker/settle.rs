//! Ends of a record. The record is settled, or its lane or the consumer ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use milena_core::{ConsumerRecord, Error, Routes, SharedRecord};
use tokio::time::Instant;

use super::line::RECORDER;
use super::{Answer, Go, Place, Worker};
use crate::core::End;
use crate::offsets::Ticket;
use crate::panics::named;
use crate::verdict::{Verdict, judge};

impl<R: Routes> Worker<R> {
    /// Applies the answer to an attempt made beside others. Returns `None` if the record is
    /// settled, and otherwise the verdict on it.
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

    /// Settles the record and counts it. `at_once` is true if its first attempt settled it, which a
    /// recorder takes as one measurement.
    pub(super) fn settle(
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
                (Some(recorder), false) if at_once => named(RECORDER, || {
                    recorder.settled_at_once(elapsed, outcome);
                }),
                (Some(recorder), _) => named(RECORDER, || recorder.record(elapsed, outcome)),
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

    /// Ends the lane or the consumer, as the verdict says.
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
            // A layer gave up waiting because the partition is given back. The next owner processes
            // the record.
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
}
