//! Gauges of a partition, such as its lag and what its records wait for.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, NextStep, Offset, OffsetReset, Timestamp};
use milena_fetch::batch_time;
use milena_lanes::LaneSnapshot;
use tokio::time::Instant;

use super::{Ahead, FetchFrom, Partition, PartitionState};

/// The gauges of one partition at one moment.
pub(crate) struct Figures {
    /// The number of offsets between the first unsettled record and the end of the log. `None` if
    /// the end is not known.
    pub(crate) lag: Option<u64>,
    /// The timestamp of the first unsettled record. For a record that is not delivered yet, the
    /// first timestamp of its batch. `None` if it was not fetched.
    pub(crate) waiting: Option<Timestamp>,
    /// The offset that may be committed. `None` while the position is looked up.
    pub(crate) settled: Option<Offset>,
    /// The number of delivered records that are not settled.
    pub(crate) unsettled: usize,
    /// The oldest delivered record that is not settled. `None` if all are.
    pub(crate) oldest: Option<Oldest>,
    /// The next step before a record can be delivered, and the time for which nothing has moved.
    /// `None` if a record is with a handler, or none is left to deliver.
    pub(crate) undelivered: Option<(NextStep, Duration)>,
    /// The reason why it cannot be fetched or its position not be looked up, and for how long.
    /// `None` if it can.
    pub(crate) trouble: Option<(Error, Duration)>,
    /// The names of the holders of pauses, each once.
    pub(crate) pauses: Vec<Arc<str>>,
}

/// The oldest delivered record that is not settled.
pub(crate) struct Oldest {
    /// The offset of the record.
    pub(crate) offset: Offset,
    /// The time since its delivery, or since its hold began or ended.
    pub(crate) age: Duration,
    /// The lane that has it. `None` while no lane has.
    pub(crate) lane: Option<LaneSnapshot>,
    /// The number of lanes that have other records.
    pub(crate) busy: usize,
}

impl Figures {
    /// Returns the age of the first unsettled record. Zero if nothing is left, `None` if it is not
    /// known yet.
    pub(crate) fn behind(&self, now: Timestamp) -> Option<Duration> {
        match self.lag? {
            0 => Some(Duration::ZERO),
            _ => self.waiting.map(|first| now.since(first)),
        }
    }
}

impl Partition {
    /// Returns the gauges of the partition. `by_lanes` is true if a handler gets the records, and
    /// false if the program receives them.
    pub(crate) fn figures(&self, now: Instant, by_lanes: bool) -> Figures {
        let mut state = self.state.lock();
        state.absorb();
        Figures {
            lag: state
                .end()
                .map(|end| end.since(state.tracker.committable())),
            waiting: state.first_unsettled(),
            settled: state.place.offset().map(|_| state.tracker.committable()),
            unsettled: state.tracker.unsettled(),
            oldest: state.oldest.front().map(|first| {
                let (lane, busy) = self.dispatch.lane_on(first.offset);
                let since = lane.and_then(|lane| lane.since);
                Oldest {
                    offset: first.offset,
                    age: now.saturating_duration_since(since.unwrap_or(first.since)),
                    lane,
                    busy,
                }
            }),
            undelivered: state
                .next_step(by_lanes)
                .map(|step| (step, now.saturating_duration_since(state.moved))),
            trouble: state.trouble.as_ref().map(|trouble| {
                let age = now.saturating_duration_since(trouble.since);
                (trouble.error.clone(), age)
            }),
            pauses: state.pauses.holders(),
        }
    }
}

impl PartitionState {
    /// Returns the end of the log, as far as it may be read. `None` if it is not known.
    fn end(&self) -> Option<Offset> {
        self.stable_end.or(self.high_watermark)
    }

    /// Returns true if all records up to the known end of the log are settled.
    pub(super) fn is_read_to_the_end(&mut self) -> bool {
        self.absorb();
        let done = self.tracker.committable();
        self.end().is_none_or(|end| end <= done)
    }

    /// Returns what must come next for a record to be delivered. `None` if one is with a handler,
    /// or none is left to deliver.
    fn next_step(&self, by_lanes: bool) -> Option<NextStep> {
        if !self.oldest.is_empty() {
            return None;
        }
        let here = if by_lanes {
            NextStep::Lane
        } else {
            NextStep::Program
        };
        match self.place {
            // The reader gets an error and must seek.
            FetchFrom::Lookup(OffsetReset::None) => Some(here),
            FetchFrom::Committed | FetchFrom::Lookup(_) | FetchFrom::Unsure(..) => {
                Some(NextStep::Position)
            }
            FetchFrom::At(_) => {
                let done = self.tracker.committable();
                let is_read = self.end().is_some_and(|end| end <= done);
                if self.failure.is_some() || (!is_read && self.has_unread()) {
                    Some(here)
                } else {
                    (!is_read).then_some(NextStep::Fetch)
                }
            }
        }
    }

    /// Returns the timestamp of the first unsettled record. For a record that is not delivered yet,
    /// the first timestamp of its batch.
    fn first_unsettled(&self) -> Option<Timestamp> {
        let first = self.tracker.committable();
        if let Some(delivered) = self.oldest.front() {
            return delivered.timestamp;
        }
        if let Some((_, timestamp)) = self.hand.filter(|(next, _)| first < *next) {
            return timestamp;
        }
        if let Some(front) = &self.front {
            return batch_time(front.records.header());
        }
        let ahead = self.ahead.iter().find_map(Ahead::header);
        ahead.map_or_else(
            || self.queue.iter().find_map(|chunk| chunk.first_time(first)),
            |header| batch_time(&header),
        )
    }
}
