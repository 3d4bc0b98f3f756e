//! The lag of a consumer behind the end of a log, in records and in time.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_core::{Timestamp, TopicPartition};
use tokio::time::Instant;

use crate::assignment::Assignment;

/// The lag of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// The number of offsets between the first record that is not done and the end of the log, as
    /// far as this consumer may read it. Control records and compacted records count too.
    pub records: u64,
    /// The age of the first record that is not done, from its timestamp and the consumer's clock.
    /// For a record that no handler has yet, the first timestamp of its batch is used. Zero if
    /// nothing is left to do. `None` if that record was not fetched yet.
    pub time: Option<Duration>,
}

/// Returns the lag of each partition whose log end is known. `clock` is the time now.
pub(crate) fn read(assignment: &Assignment, clock: Timestamp) -> BTreeMap<TopicPartition, Lag> {
    let now = Instant::now();
    let lag = |partition: &crate::partition::Partition| {
        let figures = partition.figures(now, assignment.is_processing());
        let records = figures.lag?;
        let time = figures.behind(clock);
        Some(Lag { records, time })
    };
    let partitions = assignment.partitions();
    let each = partitions.iter();
    each.filter_map(|partition| Some((partition.place().clone(), lag(partition)?)))
        .collect()
}
