//! The figures of a partition: how far behind it is, and what holds it.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Offset, Timestamp, TimestampType};
use milena_protocol::batch::BatchHeader;
use tokio::time::Instant;

use super::{Ahead, Partition, State};

/// Figures of one partition, as they stand.
pub(crate) struct Figures {
    pub(crate) lag: Option<u64>,
    /// The timestamp of the first record that is not settled, to the batch where it was not delivered; `None` where it is not here.
    pub(crate) waiting: Option<Timestamp>,
    /// What may be committed; `None` while it is being looked up.
    pub(crate) settled: Option<Offset>,
    pub(crate) unsettled: usize,
    /// The oldest delivered record that is not settled, and how long it has waited.
    pub(crate) oldest: Option<(Offset, Duration)>,
    pub(crate) pauses: Vec<Arc<str>>,
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
    pub(crate) fn figures(&self, now: Instant) -> Figures {
        let mut state = self.state.lock();
        state.absorb();
        let end = state.stable_end.or(state.high_watermark);
        Figures {
            lag: end.map(|end| end.since(state.tracker.committable())),
            waiting: state.first_unsettled(),
            settled: state.place.offset().map(|_| state.tracker.committable()),
            unsettled: state.tracker.unsettled(),
            oldest: state
                .oldest
                .front()
                .map(|first| (first.offset, now.duration_since(first.since))),
            pauses: state.pauses.holders(),
        }
    }
}

impl State {
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
