//! How far each partition was shown, and how much of that has reached the output.

use std::collections::{BTreeMap, BTreeSet};

use milena::{Offset, TopicPartition};

/// How far each partition was shown: what a group may commit.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// One past the last record that is formatted and not written yet, by partition.
    taken: BTreeMap<TopicPartition, Offset>,
    /// One past the last record that is written, by partition. Never behind anything that is not.
    written: BTreeMap<TopicPartition, Offset>,
    /// Partitions of which records were received that are not shown: they lie behind the end that was asked for. The position of the
    /// consumer tells nothing there.
    cut: BTreeSet<TopicPartition>,
}

impl Ledger {
    /// All records below `next` that are to be shown are formatted.
    pub(super) fn take(&mut self, place: &TopicPartition, next: Offset) {
        match self.taken.get_mut(place) {
            Some(taken) => *taken = next,
            None => drop(self.taken.insert(place.clone(), next)),
        }
    }

    /// Nothing is shown of a partition from here on, whatever was received of it.
    pub(super) fn cut(&mut self, place: &TopicPartition) {
        self.cut.insert(place.clone());
    }

    /// All that was formatted is written.
    pub(super) fn flushed(&mut self) {
        self.written.append(&mut self.taken);
    }

    /// The partitions come from others or go to others: what was shown of them before says nothing of where they stand.
    pub(super) fn forget(&mut self, places: &[TopicPartition]) {
        for place in places {
            self.taken.remove(place);
            self.written.remove(place);
            self.cut.remove(place);
        }
    }

    /// Up to where a partition was shown; `position` is the consumer's, who has given out all that lies before it.
    pub(super) fn shown(&self, place: &TopicPartition, position: Option<Offset>) -> Option<Offset> {
        let written = self.written.get(place).copied();
        // Behind the last record may stand what is none: markers of transactions, or records that compaction took.
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
