//! Tracker of the offset that may be committed for a partition. That is the lowest offset that a
//! handler still has. If no handler has any, it is one past the last offset that was delivered or
//! skipped.

use std::collections::VecDeque;

use milena_core::Offset;

/// Tracks the records of one partition from delivery until they are settled.
///
/// Records are delivered in the order of the log and may be settled in any order. A record that was
/// delivered before a [`restart`](Self::restart) has an older epoch, and settling it changes
/// nothing.
#[derive(Debug)]
pub struct OffsetTracker {
    /// Counts the restarts. Only tickets with this epoch are settled.
    epoch: u64,
    /// One past the last offset that was delivered or skipped.
    next: Offset,
    /// Delivered records from the oldest unsettled one on, ascending by offset. The first one is
    /// always unsettled.
    open: VecDeque<Slot>,
    /// The number of slots in `open` that are not settled.
    unsettled: usize,
}

#[derive(Debug)]
/// A delivered record.
struct Slot {
    /// The offset of the record.
    offset: Offset,
    /// True once the record is settled.
    settled: bool,
}

/// A delivered record. It names the record and the time in which its delivery counts.
///
/// For a partition of a group, these are the offset and the number of seeks and resets. For a queue
/// they are the delivery tag and the number of its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The offset of the record. It ascends within an epoch.
    pub offset: Offset,
    /// The epoch in which the record was delivered. Settling it in a later one changes nothing.
    pub epoch: u64,
}

impl OffsetTracker {
    /// Returns a tracker that starts at `start`.
    #[must_use]
    pub fn new(start: Offset) -> Self {
        Self {
            epoch: 0,
            next: start,
            open: VecDeque::new(),
            unsettled: 0,
        }
    }

    /// Starts over at `start`, after a seek or a reset. Records delivered before no longer count.
    pub fn restart(&mut self, start: Offset) {
        self.epoch += 1;
        self.next = start;
        self.open.clear();
        self.unsettled = 0;
    }

    /// Notes that a handler gets the record at `offset`. Offsets left out below it are control
    /// records, aborted records, or were compacted.
    pub fn deliver(&mut self, offset: Offset) -> Ticket {
        // Invariant: `open` ascends, since offsets come in the order of the log. The search in
        // `settle` relies on it.
        debug_assert!(offset >= self.next, "records are delivered in order");
        self.next = offset.next();
        self.open.push_back(Slot {
            offset,
            settled: false,
        });
        self.unsettled += 1;
        Ticket {
            offset,
            epoch: self.epoch,
        }
    }

    /// Notes that no further record below `next` will be delivered.
    pub fn skip_to(&mut self, next: Offset) {
        self.next = self.next.max(next);
    }

    /// Notes that the record is done. Returns false if its delivery no longer counts.
    pub fn settle(&mut self, ticket: Ticket) -> bool {
        if ticket.epoch != self.epoch {
            return false;
        }
        let Ok(at) = self
            .open
            .binary_search_by_key(&ticket.offset, |slot| slot.offset)
        else {
            return false;
        };
        match self.open.get_mut(at) {
            Some(slot) if !slot.settled => slot.settled = true,
            _ => return false,
        }
        self.unsettled -= 1;
        while self.open.front().is_some_and(|slot| slot.settled) {
            self.open.pop_front();
        }
        true
    }

    /// Returns the epoch of deliveries that count.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the offset to commit, at which the next owner resumes.
    #[must_use]
    pub fn committable(&self) -> Offset {
        self.open.front().map_or(self.next, |slot| slot.offset)
    }

    /// Returns the offset that is one past the last delivered or skipped one.
    #[must_use]
    pub fn position(&self) -> Offset {
        self.next
    }

    /// Returns the number of delivered records that are not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Returns the number of offsets that the tracker remembers. It counts delivered records from
    /// the oldest unsettled one on.
    #[must_use]
    pub fn window(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delivered(offsets: &[u32]) -> (OffsetTracker, Vec<Ticket>) {
        let mut tracker = OffsetTracker::new(offsets[0].into());
        let tickets = offsets
            .iter()
            .map(|offset| tracker.deliver((*offset).into()))
            .collect();
        (tracker, tickets)
    }

    #[test]
    fn a_slow_record_holds_the_commit_back() {
        let (mut tracker, tickets) = delivered(&[7, 8, 9]);
        assert!(tracker.settle(tickets[2]));
        assert!(tracker.settle(tickets[1]));
        assert_eq!(tracker.committable(), 7.into());
        assert!(tracker.settle(tickets[0]));
        assert_eq!(tracker.committable(), 10.into());
        assert_eq!(tracker.window(), 0);
    }

    #[test]
    fn skipped_offsets_are_passed_over_once_nothing_below_is_open() {
        let (mut tracker, tickets) = delivered(&[7]);
        tracker.skip_to(12.into());
        assert_eq!(tracker.committable(), 7.into());
        tracker.settle(tickets[0]);
        assert_eq!(tracker.committable(), 12.into());
        tracker.skip_to(3.into());
        assert_eq!(tracker.committable(), 12.into(), "never backwards");
    }

    #[test]
    fn an_end_from_before_a_restart_is_ignored() {
        let (mut tracker, tickets) = delivered(&[7, 8]);
        tracker.restart(7.into());
        let again = tracker.deliver(7.into());
        assert!(!tracker.settle(tickets[0]));
        assert_eq!(tracker.committable(), 7.into());
        assert!(tracker.settle(again));
        assert!(!tracker.settle(again), "twice is once");
        assert_eq!(tracker.committable(), 8.into());
    }

    #[test]
    fn before_the_first_record_the_start_is_committable() {
        assert_eq!(OffsetTracker::new(5.into()).committable(), 5.into());
    }

    proptest! {
        #[test]
        fn the_committable_offset_is_the_lowest_open_one_in_any_order_of_ends(
            gaps in prop::collection::vec(1u32..4, 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 1..80),
        ) {
            let mut tracker = OffsetTracker::new(Offset::ZERO);
            let mut at = 0;
            let mut open = std::collections::BTreeMap::new();
            for gap in gaps {
                at += gap;
                open.insert(at, tracker.deliver(at.into()));
            }
            let mut last = tracker.committable();
            for index in order {
                if open.is_empty() {
                    break;
                }
                let key = *open.keys().nth(index.index(open.len())).unwrap();
                prop_assert!(tracker.settle(open.remove(&key).unwrap()));
                let expected = open.keys().next().copied().unwrap_or(at + 1);
                prop_assert_eq!(tracker.committable(), expected.into());
                prop_assert_eq!(tracker.unsettled(), open.len());
                prop_assert!(tracker.committable() >= last);
                last = tracker.committable();
            }
        }
    }
}
