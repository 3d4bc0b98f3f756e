//! Counts of the records that lanes have settled.

use std::sync::atomic::{AtomicU64, Ordering};

use milena_core::TopicPartition;

use crate::settled::Settled;

/// Counts of the records that the lanes of one run have settled.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records that a handler acknowledged. Every lane counts nearly every record here.
    processed: Spread,
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

    /// Counts a settled record of this partition.
    #[inline]
    pub(crate) fn add(&self, of: &TopicPartition, settled: Settled) {
        let count = match settled {
            Settled::Acked => return self.processed.add_one(of),
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
        self.processed.sum()
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

/// A count that every lane raises with every record. Partitions add to different slots, since all
/// cores would contend for the cache line of a single counter.
#[derive(Debug, Default)]
struct Spread([CountSlot; 16]);

#[derive(Debug, Default)]
#[repr(align(128))]
/// A counter in a cache line of its own.
struct CountSlot(AtomicU64);

impl Spread {
    /// Adds one to the slot of this partition.
    #[inline]
    fn add_one(&self, of: &TopicPartition) {
        let at = of.partition.to_wire().unsigned_abs() as usize % self.0.len();
        if let Some(slot) = self.0.get(at) {
            slot.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the sum of all slots.
    fn sum(&self) -> u64 {
        let slots = self.0.iter();
        slots.map(|slot| slot.0.load(Ordering::Relaxed)).sum()
    }
}
