//! The rules of sending and retrying that the settings lead to.

use std::time::Duration;

use milena_core::Backoff;

/// The rules of sending and retrying. They follow from the settings and are the same for all
/// partitions of a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// True if batches carry a producer id and sequences.
    pub(crate) idempotent: bool,
    /// The most batches in flight per partition. With idempotence 1 to 5.
    pub(crate) in_flight: usize,
    /// The time from the opening of a batch to its outcome.
    pub(crate) delivery_timeout: Duration,
    /// The number of times that a batch may be sent again.
    pub(crate) retries: u32,
    /// The waits between attempts.
    pub(crate) backoff: Backoff,
    /// The time for which the cluster may report that a topic does not exist, before its records
    /// are given up.
    pub(crate) missing_topic: Duration,
}
