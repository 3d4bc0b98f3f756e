//! The signals by which one task of a consumer wakes another.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::partition::{Partition, PartitionWakes};
use crate::touched::Touched;

/// Signals between the tasks of a consumer. Each field names the task that waits for it.
#[derive(Default)]
pub(crate) struct Wakes {
    /// Wakes the fetcher when a partition may have become fetchable or memory was freed.
    pub(crate) fetch: Arc<Notify>,
    /// Partitions that changed since the fetcher last looked at them. Partitions add themselves.
    pub(crate) touched: Arc<Touched<Partition>>,
    /// Partitions that may have records for a receiver. Turned off once a handler runs.
    pub(crate) readable: Arc<Touched<Partition>>,
    /// Wakes the task that looks positions up.
    pub(crate) lookup: Notify,
    /// Wakes all receivers (`recv` and its relatives) when there may be a record or the consumer
    /// ended.
    pub(crate) ready: Arc<Notify>,
}

impl Wakes {
    /// Wakes the fetcher, the positions task and all receivers.
    pub(crate) fn wake(&self) {
        self.fetch.notify_one();
        self.lookup.notify_one();
        self.wake_receivers();
    }

    /// Wakes all receivers.
    pub(crate) fn wake_receivers(&self) {
        self.ready.notify_waiters();
    }

    /// Returns the signals that a partition uses.
    pub(crate) fn of_partition(&self) -> PartitionWakes {
        PartitionWakes {
            fetch: Arc::clone(&self.fetch),
            touched: Arc::clone(&self.touched),
            ready: Arc::clone(&self.readable),
        }
    }
}
