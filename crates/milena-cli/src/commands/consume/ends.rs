//! The offsets up to which the partitions of a topic are read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use milena::{Offset, TopicPartition};

/// The end of reading in each partition, and the partitions that have reached it.
#[derive(Debug)]
pub(super) struct Ends {
    /// The offset at which reading ends, by partition. Fixed when the command starts.
    ends: BTreeMap<TopicPartition, Offset>,
    /// The partitions that are read to their end.
    passed: BTreeSet<TopicPartition>,
}

impl Ends {
    /// Makes the ends from the range of offsets in each partition. Empty partitions have reached
    /// theirs.
    pub(super) fn new(ranges: BTreeMap<TopicPartition, Range<Offset>>) -> Self {
        let empty = ranges.iter().filter(|(_, range)| range.is_empty());
        Self {
            passed: empty.map(|(place, _)| place.clone()).collect(),
            ends: ranges
                .into_iter()
                .map(|(place, range)| (place, range.end))
                .collect(),
        }
    }

    /// Returns the end of a partition. A partition that was created since has nothing to read.
    pub(super) fn of(&self, place: &TopicPartition) -> Offset {
        self.ends.get(place).copied().unwrap_or_default()
    }

    /// Notes that a partition is read up to `next`. Returns true if that is its end.
    pub(super) fn reach(&mut self, place: &TopicPartition, next: Offset) -> bool {
        let done = next >= self.of(place);
        if done {
            self.passed.insert(place.clone());
        }
        done
    }

    /// Notes that partitions move between members. Each has to reach its end again.
    pub(super) fn reopen(&mut self, places: &[TopicPartition]) {
        for place in places {
            self.passed.remove(place);
        }
    }

    /// Returns the partitions that are not read to their end.
    pub(super) fn left(&self) -> impl Iterator<Item = &TopicPartition> {
        let ends = self.ends.keys();
        ends.filter(|place| !self.passed.contains(*place))
    }

    /// Returns true if a partition is not read to its end.
    pub(super) fn is_left(&self, place: &TopicPartition) -> bool {
        self.ends.contains_key(place) && !self.passed.contains(place)
    }
}
