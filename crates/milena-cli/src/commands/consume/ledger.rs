//! The progress of output in each partition.

use std::collections::{BTreeMap, BTreeSet};

use milena::{Offset, TopicPartition};

/// The offset up to which each partition was shown. A group may commit up to there.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The offset after the last record that is formatted and not written yet, by partition.
    taken: BTreeMap<TopicPartition, Offset>,
    /// The offset after the last record that is written, by partition. Every record before it that
    /// is to be shown is written.
    written: BTreeMap<TopicPartition, Offset>,
    /// Partitions with received records that are not shown, because they lie behind the end that
    /// was asked for. The consumer's position is of no use for them.
    cut: BTreeSet<TopicPartition>,
}

impl Ledger {
    /// Notes that all records below `next` that are to be shown are formatted.
    pub(super) fn take(&mut self, place: &TopicPartition, next: Offset) {
        match self.taken.get_mut(place) {
            Some(taken) => *taken = next,
            None => drop(self.taken.insert(place.clone(), next)),
        }
    }

    /// Notes that no more records of a partition are shown, whatever was received.
    pub(super) fn cut(&mut self, place: &TopicPartition) {
        self.cut.insert(place.clone());
    }

    /// Notes that everything that was formatted is written.
    pub(super) fn flushed(&mut self) {
        self.written.append(&mut self.taken);
    }

    /// Forgets partitions that come from other members or go to them. The progress from before does
    /// not apply to them any more.
    pub(super) fn forget(&mut self, places: &[TopicPartition]) {
        for place in places {
            self.taken.remove(place);
            self.written.remove(place);
            self.cut.remove(place);
        }
    }

    /// Returns the offset up to which a partition was shown. `position` is the consumer's, which
    /// has passed on everything before it.
    pub(super) fn shown(&self, place: &TopicPartition, position: Option<Offset>) -> Option<Offset> {
        let written = self.written.get(place).copied();
        // Behind the last record there may be offsets without records, such as transaction markers
        // or records removed by compaction. Only the position is beyond those.
        match self.cut.contains(place) || self.taken.contains_key(place) {
            true => written,
            false => position.max(written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset(number: i64) -> Offset {
        Offset::from_wire(number).unwrap()
    }

    #[test]
    fn what_is_formatted_and_not_written_is_not_shown() {
        let place = TopicPartition::new("orders", 0);
        let mut ledger = Ledger::default();
        ledger.take(&place, offset(5));
        ledger.flushed();
        ledger.take(&place, offset(9));
        assert_eq!(ledger.shown(&place, Some(offset(9))), Some(offset(5)));
        ledger.flushed();
        assert_eq!(ledger.shown(&place, Some(offset(10))), Some(offset(10)));
    }

    #[test]
    fn what_lies_behind_the_end_is_not_shown_though_it_was_received() {
        let place = TopicPartition::new("orders", 0);
        let mut ledger = Ledger::default();
        ledger.take(&place, offset(5));
        ledger.cut(&place);
        ledger.flushed();
        assert_eq!(ledger.shown(&place, Some(offset(90))), Some(offset(5)));
        ledger.forget(std::slice::from_ref(&place));
        assert_eq!(ledger.shown(&place, Some(offset(7))), Some(offset(7)));
    }
}
