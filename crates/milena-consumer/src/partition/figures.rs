//! The figures of a partition: how far behind it is, and what holds it.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, NextStep, Offset, Timestamp, TimestampType};
use milena_protocol::batch::BatchHeader;
use tokio::time::Instant;

use super::at_work::Seen;
use super::{Ahead, Partition, Place, State};
use crate::settings::OffsetReset;

/// Figures of one partition, as they stand.
pub(crate) struct Figures {
    pub(crate) lag: Option<u64>,
    /// The timestamp of the first record that is not settled, to the batch where it was not delivered; `None` where it is not here.
    pub(crate) waiting: Option<Timestamp>,
    /// What may be committed; `None` while it is being looked up.
    pub(crate) settled: Option<Offset>,
    pub(crate) unsettled: usize,
    /// The oldest delivered record that is not settled.
    pub(crate) oldest: Option<Oldest>,
    /// Where there is none and the partition is not known to be read to its end: what comes next, and how long nothing has moved.
    pub(crate) undelivered: Option<(NextStep, Duration)>,
    /// Why it cannot be fetched, or its position not looked up, and for how long.
    pub(crate) trouble: Option<(Error, Duration)>,
    pub(crate) pauses: Vec<Arc<str>>,
}

/// The oldest delivered record that is not settled.
pub(crate) struct Oldest {
    pub(crate) offset: Offset,
    /// How long ago it was delivered, or how long ago its hold began or ended.
    pub(crate) age: Duration,
    /// The lane that has it; `None` while none has.
    pub(crate) lane: Option<Seen>,
    /// How many lanes have other records.
    pub(crate) busy: usize,
}

impl Figures {
    /// How old the first record is that is not settled; zero where there is none, `None` where it is not known yet.
    pub(crate) fn behind(&self, now: Timestamp) -> Option<Duration> {
        match self.lag? {
            0 => Some(Duration::ZERO),
            _ => self.waiting.map(|first| now.since(first)),
        }
    }
}

impl Partition {
    /// Its figures; `by_lanes` says that lanes take its records, and not the program.
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
                let (lane, busy) = self.workers.on(first.offset);
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

impl State {
    /// The end of the log, as far as it may be read.
    fn end(&self) -> Option<Offset> {
        self.stable_end.or(self.high_watermark)
    }

    /// Whether all that is known of is delivered and settled.
    pub(super) fn is_read_to_the_end(&mut self) -> bool {
        self.absorb();
        let done = self.tracker.committable();
        self.end().is_none_or(|end| end <= done)
    }

    /// What has to come next for a record to be delivered; `None` where one is under way, and where there is none to deliver.
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
            // Its reader is told, and has to seek.
            Place::Lookup(OffsetReset::None) => Some(here),
            Place::Committed | Place::Lookup(_) | Place::Unsure(..) => Some(NextStep::Position),
            Place::At(_) => {
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

/// The timestamp of a batch's first record.
pub(crate) fn batch_time(header: &BatchHeader) -> Option<Timestamp> {
    let raw = match header.attributes.timestamp_type() {
        TimestampType::LogAppend => header.max_timestamp,
        TimestampType::Create => header.base_timestamp,
    };
    Timestamp::from_wire(raw)
}
