//! Which offset of a partition may be committed: the lowest that still has a handler, else one past what was delivered or skipped.

use std::collections::VecDeque;

use milena_core::Offset;

/// Follows the records of one partition from delivery to their end.
///
/// Records are delivered in the order of the log and may end in any order. What was delivered before a
/// [`restart`](Self::restart) carries an older epoch, and its end is ignored.
#[derive(Debug)]
pub(crate) struct OffsetTracker {
    epoch: u64,
    next: Offset,
    open: VecDeque<Slot>,
    unsettled: usize,
}

#[derive(Debug)]
struct Slot {
    offset: Offset,
    settled: bool,
}

/// A delivery: which record, and of which assignment or seek.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) offset: Offset,
    pub(crate) epoch: u64,
}

impl OffsetTracker {
    /// Starts where the assignment starts.
    pub(crate) fn new(start: Offset) -> Self {
        Self {
            epoch: 0,
            next: start,
            open: VecDeque::new(),
            unsettled: 0,
        }
    }

    /// Begins anew at `start`, after a seek or a reset: whatever was delivered before no longer counts.
    pub(crate) fn restart(&mut self, start: Offset) {
        self.epoch += 1;
        self.next = start;
        self.open.clear();
        self.unsettled = 0;
    }

    /// A handler takes the record at `offset`; those left out below it were control records, aborted or compacted.
    pub(crate) fn deliver(&mut self, offset: Offset) -> Ticket {
        // Invariant: `open` ascends, on which the search in `settle` relies; offsets come in the order of the log.
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

    /// No record below `next` is to come any more.
    pub(crate) fn skip_to(&mut self, next: Offset) {
        self.next = self.next.max(next);
    }

    /// The record ended; returns `false` when its delivery no longer counts.
    pub(crate) fn settle(&mut self, ticket: Ticket) -> bool {
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

    /// What deliveries carry that count.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The offset to commit: where a successor is to resume.
    pub(crate) fn committable(&self) -> Offset {
        self.open.front().map_or(self.next, |slot| slot.offset)
    }

    /// One past the last delivered or skipped offset.
    pub(crate) fn position(&self) -> Offset {
        self.next
    }

    /// How many delivered records have not ended.
    pub(crate) fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// How many offsets the tracker has to remember: those from the lowest open one on.
    pub(crate) fn window(&self) -> usize {
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
