//! The schemes that do not look at the key. They go in turn, by bytes, or by the partition that
//! each record names.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::{Choice, Partitioner, Partitioning};

/// Each partition in turn, as in kafka-go's `RoundRobin`.
#[derive(Debug)]
pub struct RoundRobin {
    /// The number of records so far. Wraps.
    counter: AtomicU32,
    /// The number of records in a row to one partition, at least 1.
    chunk: u32,
}

impl RoundRobin {
    /// Returns a scheme that puts this many records in a row into each partition (`ChunkSize`). 0
    /// counts as 1.
    #[must_use]
    pub fn in_chunks(records: u32) -> Self {
        Self {
            counter: AtomicU32::new(0),
            chunk: records.max(1),
        }
    }
}

impl Default for RoundRobin {
    fn default() -> Self {
        Self::in_chunks(1)
    }
}

impl Partitioner for RoundRobin {
    fn choose(&self, record: &Partitioning<'_>) -> Choice {
        let turn = self.counter.fetch_add(1, Ordering::Relaxed);
        Choice::Partition((turn / self.chunk) % record.partitions.max(1))
    }
}

/// The partition that got the fewest bytes of keys and values so far, as in kafka-go's
/// `LeastBytes`. The lowest one if several are equal.
///
/// Only the records of this process count. The counts start again from zero when the topic gets
/// more partitions.
#[derive(Debug, Default)]
pub struct LeastBytes {
    /// The bytes sent to each partition, by topic.
    sent: Mutex<HashMap<String, Vec<u64>>>,
}

impl Partitioner for LeastBytes {
    fn choose(&self, record: &Partitioning<'_>) -> Choice {
        let count = record.partitions.max(1) as usize;
        let mut topics = self.sent.lock();
        if !topics.contains_key(record.topic) {
            topics.insert(record.topic.to_owned(), Vec::new());
        }
        let Some(sent) = topics.get_mut(record.topic) else {
            return Choice::Sticky;
        };
        if sent.len() != count {
            *sent = vec![0; count];
        }
        let least = sent.iter().enumerate().min_by_key(|(_, bytes)| **bytes);
        let at = least.map_or(0, |(at, _)| at);
        if let Some(bytes) = sent.get_mut(at) {
            let size = [record.key, record.value].map(|part| part.map_or(0, <[u8]>::len));
            *bytes += size.iter().sum::<usize>() as u64;
        }
        // `at` is below `count`, which came from a `u32`.
        Choice::Partition(at as u32)
    }
}

/// No choice at all. Each record has to name its partition, as with sarama's
/// `NewManualPartitioner`, and is refused if it does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manual;

impl Partitioner for Manual {
    fn choose(&self, _: &Partitioning<'_>) -> Choice {
        Choice::Refuse(
            "the record names no partition, and the manual partitioner chooses none; set the partition of the record",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(scheme: &dyn Partitioner, topic: &str, bytes: usize, partitions: u32) -> Choice {
        let value = vec![0; bytes];
        scheme.choose(&Partitioning {
            topic,
            key: None,
            value: Some(&value),
            partitions,
        })
    }

    #[test]
    fn turns_go_round_in_chunks() {
        let scheme = RoundRobin::in_chunks(2);
        let turns: Vec<_> = (0..7).map(|_| choose(&scheme, "t", 1, 3)).collect();
        assert_eq!(turns, [0, 0, 1, 1, 2, 2, 0].map(Choice::Partition));
    }

    #[test]
    fn the_partition_with_the_fewest_bytes_is_next_and_counts_begin_anew_with_more_partitions() {
        let scheme = LeastBytes::default();
        let sizes = [10, 5, 1, 1, 1, 1, 10];
        let turns = sizes.map(|bytes| choose(&scheme, "t", bytes, 3));
        assert_eq!(turns, [0, 1, 2, 2, 2, 2, 2].map(Choice::Partition));
        assert_eq!(choose(&scheme, "other", 1, 3), Choice::Partition(0));
        assert_eq!(choose(&scheme, "t", 1, 3), Choice::Partition(1));
        assert_eq!(choose(&scheme, "t", 1, 4), Choice::Partition(0));
    }

    #[test]
    fn manual_refuses_what_names_no_partition() {
        assert!(matches!(choose(&Manual, "t", 1, 3), Choice::Refuse(_)));
    }
}
