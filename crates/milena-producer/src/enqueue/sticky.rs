//! The partition of records without a key. Each caller stays with one partition until its share is
//! used up, then moves on.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The sticky choices of one topic, with one slot per group of threads, so that callers do not meet
/// on one partition's lock.
///
/// All accesses are relaxed, and a read with its write is not one step. Two callers that share a
/// slot may miscount some bytes. This shifts a switch by as much, which does no harm.
#[derive(Debug)]
pub(crate) struct Sticky {
    /// The slots, at least one.
    slots: Box<[Slot]>,
    /// The position of the turn among the available partitions. Counts up and wraps.
    cursor: AtomicUsize,
}

/// The choice of one caller, on a cache line of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Slot {
    /// The partition that the caller stays with. `NONE` before the first choice.
    partition: AtomicU32,
    /// The bytes of records since that choice.
    routed: AtomicUsize,
}

/// The bytes after which a caller moves on at the next end of a batch. KIP-794 counts bytes, too.
///
/// This is small beside a full batch. Under load the end of the batch decides, and a slow caller
/// still spreads its records.
pub(crate) const SHARE: usize = 16 * 1024;

/// The number that no partition has.
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

    /// Returns the slot of the calling thread.
    pub(crate) fn slot(&self) -> Option<&Slot> {
        self.slots.get(shard() % self.slots.len().max(1))
    }

    /// Returns the position of the turn.
    pub(crate) fn peek(&self) -> usize {
        self.cursor.load(Ordering::Relaxed)
    }

    /// Returns the next of the `available` partitions, in turn. Over time each gets the same share.
    pub(crate) fn next(&self, available: &[u32]) -> Option<u32> {
        let turn = self.cursor.fetch_add(1, Ordering::Relaxed);
        available.get(turn % available.len().max(1)).copied()
    }
}

impl Slot {
    /// Returns the partition that the caller stays with. `None` before the first choice.
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

    /// Returns true if the share is used up, so that the caller moves on when the batch ends.
    pub(crate) fn is_spent(&self) -> bool {
        self.routed.load(Ordering::Relaxed) >= SHARE
    }
}

/// Returns a small number that differs between threads.
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
