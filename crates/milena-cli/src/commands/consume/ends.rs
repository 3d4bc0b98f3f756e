//! Up to where a topic is read, partition by partition.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use milena::{Offset, TopicPartition};

/// Where reading ends in each partition, and which are read to there.
#[derive(Debug)]
pub(super) struct Ends {
    ends: BTreeMap<TopicPartition, Offset>,
    passed: BTreeSet<TopicPartition>,
}

impl Ends {
    /// Of what lies in each partition.
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

    /// Where a partition ends; one that was not there at the beginning has nothing to read.
    pub(super) fn of(&self, place: &TopicPartition) -> Offset {
        self.ends.get(place).copied().unwrap_or_default()
    }

    /// The partition is read up to `next`; gives whether that is its end.
    pub(super) fn reach(&mut self, place: &TopicPartition, next: Offset) -> bool {
        let done = next >= self.of(place);
        if done {
            self.passed.insert(place.clone());
        }
        done
    }

    /// The partitions are read by others from now on, or again by this member.
    pub(super) fn reopen(&mut self, places: &[TopicPartition]) {
        for place in places {
            self.passed.remove(place);
        }
    }

    /// The partitions that are not read to their end.
    pub(super) fn left(&self) -> impl Iterator<Item = &TopicPartition> {
        let ends = self.ends.keys();
        ends.filter(|place| !self.passed.contains(*place))
    }

    pub(super) fn is_left(&self, place: &TopicPartition) -> bool {
        self.ends.contains_key(place) && !self.passed.contains(place)
    }
}
