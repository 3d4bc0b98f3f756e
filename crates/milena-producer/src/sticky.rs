//! Where records without a key go: each caller stays with one partition until its share is routed, then moves on.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The sticky choices of one topic: one slot per group of threads, so that callers do not meet on one partition's lock.
///
/// Reads and writes are relaxed and not one step together: two callers that share a slot may count a few bytes wrong,
/// which shifts a switch by as much and harms nothing.
#[derive(Debug)]
pub(crate) struct Sticky {
    slots: Box<[Slot]>,
    cursor: AtomicUsize,
}

/// One caller's choice; on a cache line of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Slot {
    partition: AtomicU32,
    routed: AtomicUsize,
}

/// The bytes after which a caller moves on at the next end of a batch (KIP-794 counts bytes, too).
///
/// Small beside a full batch: under load the end of the batch decides, and a slow caller still spreads its records.
pub(crate) const SHARE: usize = 16 * 1024;

const NONE: u32 = u32::MAX;

impl Sticky {
    pub(crate) fn new(slots: usize, seed: usize) -> Self {
        let slots = (0..slots.max(1))
            .map(|_| Slot {
                partition: AtomicU32::new(NONE),
                routed: AtomicUsize::new(0),
            })
            .collect();
        Self {
            slots,
            cursor: AtomicUsize::new(seed),
        }
    }

    /// The slot of the calling thread.
    pub(crate) fn slot(&self) -> Option<&Slot> {
        self.slots.get(shard() % self.slots.len().max(1))
    }

    /// Whose turn it is.
    pub(crate) fn peek(&self) -> usize {
        self.cursor.load(Ordering::Relaxed)
    }

    /// The next of `available` partitions, in turn: over time each gets the same share.
    pub(crate) fn next(&self, available: &[u32]) -> Option<u32> {
        let turn = self.cursor.fetch_add(1, Ordering::Relaxed);
        available.get(turn % available.len().max(1)).copied()
    }
}

impl Slot {
    /// The partition that the caller sticks to, if any was chosen.
    pub(crate) fn partition(&self) -> Option<u32> {
        let partition = self.partition.load(Ordering::Relaxed);
        (partition != NONE).then_some(partition)
    }

    /// Starts a new share on `partition`.
    pub(crate) fn stick_to(&self, partition: u32) {
        self.partition.store(partition, Ordering::Relaxed);
        self.routed.store(0, Ordering::Relaxed);
    }

    /// Counts a record of `bytes`.
    pub(crate) fn route(&self, bytes: usize) {
        let routed = self.routed.load(Ordering::Relaxed);
        self.routed
            .store(routed.saturating_add(bytes), Ordering::Relaxed);
    }

    /// Whether the share is used up, so that the caller moves on when the batch ends.
    pub(crate) fn is_spent(&self) -> bool {
        self.routed.load(Ordering::Relaxed) >= SHARE
    }
}

/// A small number that differs between threads.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    SHARD.with(|shard| {
        if shard.get() == usize::MAX {
            shard.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        shard.get()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_available_partition_gets_its_turn() {
        let sticky = Sticky::new(4, 2);
        let turns: Vec<_> = (0..6).filter_map(|_| sticky.next(&[0, 2, 5])).collect();
        assert_eq!(turns, [5, 0, 2, 5, 0, 2]);
        assert_eq!(sticky.next(&[]), None);
    }

    #[test]
    fn a_slot_is_spent_after_its_share_and_fresh_after_a_switch() {
        let sticky = Sticky::new(1, 0);
        let slot = sticky.slot().unwrap();
        assert_eq!(slot.partition(), None);
        slot.stick_to(7);
        slot.route(SHARE - 1);
        assert!(!slot.is_spent());
        slot.route(1);
        assert!(slot.is_spent());
        slot.stick_to(8);
        assert!(!slot.is_spent());
        assert_eq!(slot.partition(), Some(8));
    }
}
