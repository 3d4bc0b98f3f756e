//! Copies of a partition's counters that are read without its lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use milena_core::Offset;

/// Values of a partition that lanes and receivers read with every record.
///
/// Invariant: `turn` and `epoch` equal those of the state after each change. Only
/// [`publish`](Self::publish) writes them.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// The turn of the cursor. A fetched batch with another turn is stale.
    turn: AtomicU64,
    /// The epoch of the offset tracker. A ticket with another epoch no longer counts.
    epoch: AtomicU64,
    /// One past the last record of the current batch that a receiver returned. 0 if there is none.
    /// Receivers write it. The state reads it and clears it with each batch.
    handed: AtomicI64,
}

impl Published {
    /// Publishes the turn and the epoch of the state. The caller holds the lock of the state.
    pub(super) fn publish(&self, turn: u64, epoch: u64) {
        self.turn.store(turn, Ordering::Release);
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Returns the turn.
    #[inline]
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// Returns the epoch of the tracker.
    #[inline]
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Notes that a receiver returned the records of the batch below `next`.
    #[inline]
    pub(super) fn hand_out(&self, next: Offset) {
        self.handed.store(next.to_wire(), Ordering::Release);
    }

    /// Notes that no record of the current batch was returned.
    pub(super) fn hand_out_none(&self) {
        self.handed.store(0, Ordering::Release);
    }

    /// Returns one past the last record that a receiver returned.
    pub(super) fn handed(&self) -> Option<Offset> {
        Offset::from_wire(self.handed.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_was_handed_out_is_forgotten_with_the_next_batch() {
        let published = Published::default();
        published.publish(3, 1);
        published.hand_out(9.into());
        assert_eq!(published.handed(), Some(9.into()));
        published.hand_out_none();
        assert_eq!(published.handed(), Some(Offset::ZERO));
        assert_eq!((published.turn(), published.epoch()), (3, 1));
    }
}
