//! How far a consumer is behind the end of a log, in records and in time.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_core::TopicPartition;
use tokio::time::Instant;

use crate::core::Core;

/// How far a partition is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// Records, or rather offsets, between the first that is not done and the end of what this consumer may see.
    pub records: u64,
    /// How long ago the first record that is not done was written, by its timestamp and the consumer's clock; to the batch where it was
    /// not given to a handler yet. Zero where nothing is behind, `None` while that record is not here.
    pub time: Option<Duration>,
}

/// The lag of each partition that a fetch has told the end of.
pub(crate) fn read(core: &Core) -> BTreeMap<TopicPartition, Lag> {
    let (now, clock) = (Instant::now(), core.settings.now());
    let lag = |partition: &crate::partition::Partition| {
        let figures = partition.figures(now, core.is_processing());
        let records = figures.lag?;
        let time = figures.behind(clock);
        Some(Lag { records, time })
    };
    let partitions = core.partitions();
    let each = partitions.iter();
    each.filter_map(|partition| Some((partition.place().clone(), lag(partition)?)))
        .collect()
}
