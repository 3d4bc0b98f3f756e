//! The memory that fetched records may pin, and who pins it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the bytes of fetched frames that are still held.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
    freed: Arc<Notify>,
}

impl Budget {
    /// `freed` is told when bytes come back.
    pub(crate) fn new(limit: usize, freed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            freed,
        })
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts a frame in. It has arrived already, so it is never refused: what is asked for is what is limited.
    pub(crate) fn pin(self: &Arc<Self>, bytes: usize) -> Arc<Pinned> {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Pinned {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

/// A frame in memory; gone with its last holder.
#[derive(Debug)]
pub(crate) struct Pinned {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Pinned {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let before = self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        if before.saturating_add(LEAST_FETCH) > self.budget.limit {
            self.budget.freed.notify_one();
        }
    }
}

/// How much to ask of one partition: twenty of its batches, so that the one cut at the end weighs little, within its share.
pub(crate) fn partition_bytes(largest_batch: usize, share: usize, least: usize) -> u32 {
    let wanted = largest_batch.saturating_mul(BATCHES).max(least);
    // A power of two changes seldom, and each change has to be told to the broker.
    let wanted = wanted.checked_next_power_of_two().unwrap_or(wanted);
    let most = share.max(largest_batch).max(1);
    u32::try_from(wanted.min(most)).unwrap_or(u32::MAX)
}

/// The part of the budget that one partition may fill: what waits for it and what was asked for, half each.
pub(crate) fn share(limit: usize, partitions: usize) -> usize {
    limit / partitions.max(1) / 2
}

/// A fetch for less than this is not worth its round trip.
pub(crate) const LEAST_FETCH: usize = 64 << 10;
const BATCHES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_counts_until_its_last_holder_is_gone() {
        let budget = Budget::new(100, Arc::new(Notify::new()));
        let first = budget.pin(60);
        let second = Arc::clone(&first);
        drop(first);
        assert_eq!(budget.used(), 60);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_partition_is_asked_for_twenty_of_its_batches_within_its_share() {
        assert_eq!(partition_bytes(0, 16 << 20, 1 << 20), 1 << 20);
        assert_eq!(partition_bytes(64 << 10, 16 << 20, 1 << 20), 2 << 20);
        assert_eq!(partition_bytes(1 << 20, 8 << 20, 1 << 20), 8 << 20);
    }

    #[test]
    fn one_batch_is_always_asked_for_whole() {
        assert_eq!(partition_bytes(3 << 20, 1 << 20, 1 << 20), 3 << 20);
    }
}
