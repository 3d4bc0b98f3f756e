//! The delivered records of a partition, and the position that follows from them.

use std::collections::VecDeque;

use milena_core::{LeaderEpoch, Offset, Timestamp};
use tokio::time::Instant;

use crate::partition::epochs::EpochTrail;
use milena_lanes::{OffsetTracker, Ticket};

/// The answer to the question if a record may be given to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It may.
    Ticket(Ticket),
    /// Not yet. Too many records are settled behind one that is not.
    Full,
    /// No. The partition was sought or revoked, or is being drained.
    Over,
}

/// A record that a handler is about to get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueRecord {
    /// The offset of the record.
    pub(crate) offset: Offset,
    /// The leader epoch of its batch. `None` if the batch has none.
    pub(crate) epoch: Option<LeaderEpoch>,
    /// The record's timestamp. `None` if it has none.
    pub(crate) timestamp: Option<Timestamp>,
    /// The time of the delivery.
    pub(crate) since: Instant,
}

/// A delivered record.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The offset of the record.
    pub(super) offset: Offset,
    /// The time of the delivery.
    pub(super) since: Instant,
    /// The record's timestamp. `None` if it has none.
    pub(super) timestamp: Option<Timestamp>,
}

/// The effect of a settlement that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settlement {
    /// True if the fetcher waited for records to be settled, which is now so.
    pub(super) frees: bool,
    /// True if the window has room again, for which a lane waited.
    pub(super) makes_room: bool,
}

/// Delivered records, and the offsets that follow from them.
#[derive(Debug)]
pub(super) struct Progress {
    /// Delivered records and the offset that may be committed.
    tracker: OffsetTracker,
    /// The size below which the tracker's window must shrink before a waiting lane continues.
    /// `None` if no lane waits.
    room_below: Option<usize>,
    /// Leader epochs of the records that were read, for commits.
    epochs: EpochTrail,
    /// Delivered records from the oldest unsettled one on, in order.
    oldest: VecDeque<Delivered>,
    /// The offset at which reading last started, or to which it was moved. Records from here on
    /// need a commit.
    begun: Offset,
    /// The time when a record was last delivered, a batch given to a reader, or an awaited answer
    /// came. If no record is with a handler, the partition has stood still since.
    moved: Instant,
    /// True while the fetcher waits for its records to be settled, which frees memory.
    starved: bool,
}

impl Progress {
    /// Returns the progress of a partition that is read from `start`.
    pub(super) fn new(start: Offset) -> Self {
        Self {
            tracker: OffsetTracker::new(start),
            room_below: None,
            epochs: EpochTrail::default(),
            oldest: VecDeque::new(),
            begun: start,
            moved: Instant::now(),
            starved: false,
        }
    }

    /// Forgets delivered records, since reading moves. Tickets still count until `begin_at`.
    pub(super) fn forget(&mut self) {
        self.oldest.clear();
        self.moved = Instant::now();
        self.epochs.clear();
    }

    /// Starts over at `start`. Tickets from before no longer count.
    pub(super) fn begin_at(&mut self, start: Offset) {
        self.begun = start;
        self.tracker.restart(start);
    }

    /// Lets waiting lanes go on, since the batch that they read is stale.
    pub(super) fn wait_no_more(&mut self) {
        self.room_below = None;
    }

    /// Returns the epoch of the tracker. Tickets of another one no longer count.
    pub(super) fn epoch(&self) -> u64 {
        self.tracker.epoch()
    }

    /// Returns the next offset to deliver.
    pub(super) fn position(&self) -> Offset {
        self.tracker.position()
    }

    /// Returns the offset that may be committed.
    pub(super) fn committable(&self) -> Offset {
        self.tracker.committable()
    }

    /// Returns the offset at which reading last started.
    pub(super) fn begun(&self) -> Offset {
        self.begun
    }

    /// Returns the number of delivered records that are not settled.
    pub(super) fn unsettled(&self) -> usize {
        self.tracker.unsettled()
    }

    /// Returns the oldest delivered record that is not settled. `None` if all are.
    pub(super) fn oldest(&self) -> Option<&Delivered> {
        self.oldest.front()
    }

    /// Returns the time since which nothing has moved.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// Notes that something moved.
    pub(super) fn has_moved(&mut self) {
        self.moved = Instant::now();
    }

    /// Notes whether the fetcher waits for records to be settled.
    pub(super) fn starve(&mut self, starved: bool) {
        self.starved = starved;
    }

    /// Returns true while a lane waits for room in the window.
    pub(super) fn waits_for_room(&self) -> bool {
        self.room_below.is_some()
    }

    /// Returns the leader epoch of the record before `offset`, and forgets older ones.
    pub(super) fn epoch_before(&mut self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.before(offset)
    }

    /// Returns the leader epoch of the record before `offset`.
    pub(super) fn epoch_of(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.of(offset)
    }

    /// Moves the position to `next` at least.
    pub(super) fn skip_to(&mut self, next: Offset) {
        self.tracker.skip_to(next);
    }

    /// Notes that all records below `next` were delivered, in this epoch.
    pub(super) fn read_to(&mut self, next: Offset, epoch: Option<LeaderEpoch>) {
        self.epochs.note(self.tracker.position(), epoch);
        self.tracker.skip_to(next);
    }

    /// Notes that a handler is about to get the record. `None` if `window` records are delivered
    /// from the oldest unsettled one on.
    #[inline]
    pub(super) fn deliver(&mut self, record: DueRecord, window: usize) -> Option<Ticket> {
        if self.tracker.window() >= window {
            self.room_below = Some(window - window / 4);
            return None;
        }
        self.epochs.note(record.offset, record.epoch);
        self.moved = record.since;
        self.oldest.push_back(Delivered {
            offset: record.offset,
            since: record.since,
            timestamp: record.timestamp,
        });
        Some(self.tracker.deliver(record.offset))
    }

    /// Settles a record. `None` if the settlement comes too late to count.
    #[inline]
    pub(super) fn settle(&mut self, ticket: Ticket) -> Option<Settlement> {
        if !self.tracker.settle(ticket) {
            return None;
        }
        let mut settlement = Settlement::default();
        if self.starved && self.tracker.unsettled() <= 1 {
            self.starved = false;
            settlement.frees = true;
        }
        let low = self.tracker.committable();
        while self.oldest.front().is_some_and(|first| first.offset < low) {
            self.oldest.pop_front();
        }
        let window = self.tracker.window();
        if self.room_below.is_some_and(|below| window < below) {
            self.room_below = None;
            settlement.makes_room = true;
        }
        Some(settlement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deliver(progress: &mut Progress, offset: u32, window: usize) -> Option<Ticket> {
        let record = DueRecord {
            offset: offset.into(),
            epoch: None,
            timestamp: None,
            since: Instant::now(),
        };
        progress.deliver(record, window)
    }

    #[test]
    fn a_full_window_has_room_again_once_a_quarter_of_it_is_free() {
        let mut progress = Progress::new(Offset::ZERO);
        let tickets: Vec<_> = (0..4)
            .map(|offset| deliver(&mut progress, offset, 4).unwrap())
            .collect();
        assert_eq!(deliver(&mut progress, 4, 4), None);
        assert!(progress.waits_for_room());
        assert_eq!(progress.settle(tickets[0]), Some(Settlement::default()));
        let settled = progress.settle(tickets[1]).unwrap();
        assert!(settled.makes_room && !progress.waits_for_room());
    }

    #[test]
    fn the_fetcher_is_woken_once_when_few_records_are_left() {
        let mut progress = Progress::new(Offset::ZERO);
        let tickets: Vec<_> = (0..3)
            .map(|offset| deliver(&mut progress, offset, 9).unwrap())
            .collect();
        progress.starve(true);
        let frees =
            |progress: &mut Progress, at: usize| progress.settle(tickets[at]).unwrap().frees;
        assert!(!frees(&mut progress, 2) && frees(&mut progress, 1));
        assert!(!frees(&mut progress, 0));
    }

    #[test]
    fn the_oldest_record_is_the_first_that_is_not_settled() {
        let mut progress = Progress::new(Offset::ZERO);
        let first = deliver(&mut progress, 0, 9).unwrap();
        deliver(&mut progress, 1, 9);
        progress.settle(first);
        assert_eq!(
            progress.oldest().map(|oldest| oldest.offset),
            Some(1.into())
        );
        progress.forget();
        progress.begin_at(5.into());
        assert!(progress.oldest().is_none());
        assert_eq!(progress.settle(first), None, "it is of an earlier epoch");
        assert_eq!(
            (progress.position(), progress.begun()),
            (5.into(), 5.into())
        );
    }
}
