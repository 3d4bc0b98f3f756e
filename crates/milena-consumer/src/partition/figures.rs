//! Gauges of a partition, such as its lag and what its records wait for.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, NextStep, Offset, Timestamp};
use milena_lanes::{Dispatch, LaneSnapshot};
use tokio::time::Instant;

use super::state::PartitionState;

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
    /// Returns the gauges of a partition. `dispatch` is the state of its lanes. `by_lanes` is true
    /// if a handler gets the records, and false if the program receives them.
    pub(super) fn of(
        state: &mut PartitionState,
        dispatch: &Dispatch,
        now: Instant,
        by_lanes: bool,
    ) -> Self {
        state.absorb();
        let settled = state.progress.committable();
        Self {
            lag: state.ends.readable().map(|end| end.since(settled)),
            waiting: state.first_unsettled(),
            settled: state.cursor.offset().map(|_| settled),
            unsettled: state.progress.unsettled(),
            oldest: state.progress.oldest().map(|first| {
                let (lane, busy) = dispatch.lane_on(first.offset);
                let since = lane.and_then(|lane| lane.since);
                Oldest {
                    offset: first.offset,
                    age: now.saturating_duration_since(since.unwrap_or(first.since)),
                    lane,
                    busy,
                }
            }),
            undelivered: state.next_step(by_lanes).map(|step| {
                let moved = state.progress.moved();
                (step, now.saturating_duration_since(moved))
            }),
            trouble: state.troubles.latest(now),
            pauses: state.pauses.holders(),
        }
    }

    /// Returns the age of the first unsettled record. Zero if nothing is left, `None` if it is not
    /// known yet.
    pub(crate) fn behind(&self, now: Timestamp) -> Option<Duration> {
        match self.lag? {
            0 => Some(Duration::ZERO),
            _ => self.waiting.map(|first| now.since(first)),
        }
    }
}
