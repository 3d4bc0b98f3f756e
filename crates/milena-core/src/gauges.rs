//! Gauges: figures that are asked for when someone looks, not told as they change.

use std::time::Duration;

use crate::TopicPartition;

/// A figure as it stands now.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Gauge<'a> {
    /// How many records the committed offset is behind the end of the log.
    Lag {
        /// The group; empty without one.
        group: &'a str,
        /// The partition.
        partition: &'a TopicPartition,
        /// Records.
        records: u64,
    },
    /// How many fetched records wait in a partition's lanes.
    LaneDepth {
        /// The partition.
        partition: &'a TopicPartition,
        /// Records.
        records: u64,
    },
    /// How much of a buffer is in use.
    BufferUsed {
        /// Which buffer: `producer` or `consumer`.
        buffer: &'a str,
        /// Bytes in use.
        used: u64,
        /// Bytes there are.
        limit: u64,
    },
    /// How long the oldest delivered record has waited to be settled.
    OldestUnsettled {
        /// The partition.
        partition: &'a TopicPartition,
        /// Its age.
        age: Duration,
    },
    /// Who holds a partition paused.
    Paused {
        /// The partition.
        partition: &'a TopicPartition,
        /// A gate's name.
        by: &'a str,
    },
}

/// Something with figures to show: a producer, a consumer.
pub trait Gauges: Send + Sync {
    /// Shows each figure to `sink`, as it stands now.
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>));
}
