//! The memory that fetched records may hold, and the frames that hold it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the bytes of fetched frames that are still in use.
#[derive(Debug)]
pub struct Budget {
    /// `buffer_memory` in bytes.
    limit: usize,
    /// Bytes in use now. May exceed `limit`, since a frame that has arrived is never refused.
    used: AtomicUsize,
    /// Wakes the fetcher when enough memory for a fetch is free again.
    freed: Arc<Notify>,
}

impl Budget {
    /// Returns a budget of `limit` bytes that notifies `freed` when bytes are given back.
    pub fn new(limit: usize, freed: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            freed,
        })
    }

    /// Returns the most bytes that frames should hold.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the bytes that frames hold now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Counts the bytes of a frame as used until the returned value is dropped. It never refuses,
    /// since the frame has arrived already. The fetcher limits what it asks for instead.
    pub fn pin(self: &Arc<Self>, bytes: usize) -> Arc<Pinned> {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Arc::new(Pinned {
            budget: Arc::clone(self),
            bytes,
        })
    }
}

/// A frame in memory. Its bytes are given back when the last holder drops it.
#[derive(Debug)]
pub struct Pinned {
    /// The budget that the bytes are given back to.
    budget: Arc<Budget>,
    /// The size of the frame.
    bytes: usize,
}

impl Pinned {
    /// Returns the size of the frame.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let before = self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
        // The fetcher waits for memory only if less than one fetch was free.
        if before.saturating_add(LEAST_FETCH) > self.budget.limit {
            self.budget.freed.notify_one();
        }
    }
}

/// Returns the bytes to ask of one partition. Enough for twenty of its batches, so that the batch
/// that is cut off at the end costs little. At least `least`, but no more than `share`, unless one
/// batch alone is larger.
pub fn partition_bytes(largest_batch: usize, share: usize, least: usize) -> u32 {
    let wanted = largest_batch.saturating_mul(BATCHES).max(least);
    // Rounded to a power of two. The value then changes rarely, and each change must be sent to the
    // broker.
    let wanted = wanted.checked_next_power_of_two().unwrap_or(wanted);
    let most = share.max(largest_batch).max(1);
    u32::try_from(wanted.min(most)).unwrap_or(u32::MAX)
}

/// Returns the part of the budget that one partition may fill. Half of it is for batches that wait
/// here, half for those that were asked for.
pub fn share(limit: usize, partitions: usize) -> usize {
    limit / partitions.max(1) / 2
}

/// The least bytes worth a fetch. A smaller one does not pay for its round trip.
pub const LEAST_FETCH: usize = 64 << 10;
/// The number of batches that one fetch asks for from each partition.
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
