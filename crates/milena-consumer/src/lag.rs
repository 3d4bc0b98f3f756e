//! The lag of a consumer behind the end of a log, in records and in time.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_core::TopicPartition;
use tokio::time::Instant;

use crate::core::Core;

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

/// Returns the lag of each partition whose log end is known.
pub(crate) fn read(core: &Core) -> BTreeMap<TopicPartition, Lag> {
    let (now, clock) = (Instant::now(), core.settings.now());
    let lag = |partition: &crate::partition::Partition| {
        let figures = partition.figures(now, core.assignment.is_processing());
        let records = figures.lag?;
        let time = figures.behind(clock);
        Some(Lag { records, time })
    };
    let partitions = core.assignment.partitions();
    let each = partitions.iter();
    each.filter_map(|partition| Some((partition.place().clone(), lag(partition)?)))
        .collect()
}
