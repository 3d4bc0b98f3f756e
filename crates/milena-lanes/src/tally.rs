//! Counts of the records that lanes have settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::settled::Settled;

/// Counts of the records that the lanes of one run have settled.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records that a handler acknowledged, which are nearly all.
    processed: Arc<Mutex<Processed>>,
    /// Records that a handler skipped.
    skipped: AtomicU64,
    /// Records that were written to a dead letter topic.
    dead_lettered: AtomicU64,
    /// Records that were written to a retry topic.
    forwarded: AtomicU64,
    /// Records that were done after their source no longer waited for them.
    late: AtomicU64,
}

impl Tally {
    /// Returns a tally of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a lane, which counts the records that it acknowledges.
    pub(crate) fn lane(&self) -> LaneTally {
        let count = Arc::new(LaneCount::default());
        self.processed.lock().running.push(Arc::clone(&count));
        LaneTally {
            count,
            processed: Arc::clone(&self.processed),
        }
    }

    /// Counts a record that `lane` has settled.
    #[inline]
    pub(crate) fn add(&self, lane: &LaneTally, settled: Settled) {
        let count = match settled {
            Settled::Acked => return lane.count.add_one(),
            Settled::Skipped => &self.skipped,
            Settled::DeadLettered => &self.dead_lettered,
            Settled::Forwarded => &self.forwarded,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a record that was done too late.
    pub(crate) fn add_late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of records that a handler acknowledged.
    #[must_use]
    pub fn processed(&self) -> u64 {
        let processed = self.processed.lock();
        let running: u64 = processed.running.iter().map(|lane| lane.get()).sum();
        processed.ended + running
    }

    /// Returns the number of records that a handler skipped.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Returns the number of records that were written to a dead letter topic.
    #[must_use]
    pub fn dead_lettered(&self) -> u64 {
        self.dead_lettered.load(Ordering::Relaxed)
    }

    /// Returns the number of records that were written to a retry topic.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// Returns the number of records that were done after their source no longer waited for them.
    /// They are among the other numbers too.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }
}

/// The acknowledged records of all lanes.
#[derive(Debug, Default)]
struct Processed {
    /// The records of lanes that have ended.
    ended: u64,
    /// The counts of the lanes that have not ended.
    running: Vec<Arc<LaneCount>>,
}

/// The acknowledged records of one lane. Only the lane writes it, with every record. It therefore
/// uses plain stores, in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct LaneCount(AtomicU64);

impl LaneCount {
    #[inline]
    fn add_one(&self) {
        self.0.store(self.get() + 1, Ordering::Relaxed);
    }

    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A lane's handle on its count. When it is dropped, the count is added to that of ended lanes.
#[derive(Debug)]
pub(crate) struct LaneTally {
    /// The count of the lane.
    count: Arc<LaneCount>,
    /// The counts of all lanes.
    processed: Arc<Mutex<Processed>>,
}

impl Drop for LaneTally {
    fn drop(&mut self) {
        let mut processed = self.processed.lock();
        let running = &mut processed.running;
        running.retain(|lane| !Arc::ptr_eq(lane, &self.count));
        processed.ended += self.count.get();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_records_of_a_lane_count_while_it_runs_and_after_it_has_ended() {
        let tally = Tally::new();
        let (one, other) = (tally.lane(), tally.lane());
        for lane in [&one, &one, &other] {
            tally.add(lane, Settled::Acked);
        }
        tally.add(&other, Settled::Skipped);
        assert_eq!((tally.processed(), tally.skipped()), (3, 1));
        drop(one);
        assert_eq!(tally.processed(), 3);
        tally.add(&other, Settled::Acked);
        drop(other);
        assert_eq!(tally.processed(), 4);
        assert!(tally.processed.lock().running.is_empty());
    }
}
