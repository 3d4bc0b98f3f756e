//! The producers that wrote to a partition, with sequence windows and epoch fencing (KIP-98).

use std::collections::{HashMap, VecDeque};

use milena_core::ErrorCode;
use milena_protocol::batch::BatchHeader;

/// The stamp of a batch that is to be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The producer id.
    pub(crate) id: i64,
    /// The producer epoch.
    pub(crate) epoch: i16,
    /// The sequence of its first record.
    pub(crate) first: i32,
    /// The number of sequences after the first.
    pub(crate) delta: u32,
}

impl Stamp {
    /// Returns the stamp of a stored batch, or `None` if it has none.
    pub(crate) fn of(header: &BatchHeader) -> Option<Self> {
        let stamp = header.stamp()?;
        Some(Self {
            id: stamp.id.to_wire(),
            epoch: stamp.epoch.to_wire(),
            first: stamp.sequence.to_wire(),
            delta: header.last_offset_delta,
        })
    }

    /// Returns the sequence of its last record.
    fn last(self) -> i32 {
        advance(self.first, self.delta)
    }
}

/// The decision on a batch, by its stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Append the batch.
    Append,
    /// The batch is already in the log.
    Duplicate {
        /// The offset of its first record.
        base_offset: i64,
        /// The append time, -1 if the batch keeps its producer's times.
        append_time: i64,
    },
    /// Refuse the batch with this error.
    Refuse(ErrorCode),
}

/// The last batches of one producer on a partition.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    /// The epoch of the batches in `window`.
    pub(crate) epoch: i16,
    /// The last batches, newest last. At most [`WINDOW`].
    window: VecDeque<Kept>,
}

/// A batch that was appended.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// The sequence of its first record.
    first: i32,
    /// The sequence of its last record.
    last: i32,
    /// The offset of its first record.
    base_offset: i64,
    /// The append time, -1 if the batch keeps its producer's times.
    append_time: i64,
}

impl Producer {
    /// Returns the sequence of the last record that was appended.
    pub(crate) fn last_sequence(&self) -> Option<i32> {
        self.window.back().map(|kept| kept.last)
    }
}

/// The producers that wrote to a partition, by producer id.
#[derive(Clone, Debug, Default)]
pub(crate) struct Producers(HashMap<i64, Producer>);

impl Producers {
    /// Decides on a batch, without changing anything.
    ///
    /// A producer id that is not known here may begin at any sequence, because its state may have
    /// expired. A new epoch of a known one must begin at 0.
    pub(crate) fn check(&self, stamp: Stamp) -> Verdict {
        let Some(known) = self.0.get(&stamp.id) else {
            return Verdict::Append;
        };
        if stamp.epoch < known.epoch {
            return Verdict::Refuse(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        if stamp.epoch > known.epoch {
            return if stamp.first == 0 {
                Verdict::Append
            } else {
                Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
            };
        }
        let same = |kept: &&Kept| kept.first == stamp.first && kept.last == stamp.last();
        if let Some(kept) = known.window.iter().find(same) {
            return Verdict::Duplicate {
                base_offset: kept.base_offset,
                append_time: kept.append_time,
            };
        }
        match known.last_sequence() {
            None => Verdict::Append,
            Some(last) if advance(last, 1) == stamp.first => Verdict::Append,
            Some(_) => Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
        }
    }

    /// Notes a batch that was appended at `base_offset`.
    pub(crate) fn note(&mut self, stamp: Stamp, base_offset: i64, append_time: i64) {
        let producer = self.0.entry(stamp.id).or_insert_with(|| Producer {
            epoch: stamp.epoch,
            window: VecDeque::with_capacity(WINDOW),
        });
        if producer.epoch != stamp.epoch {
            producer.epoch = stamp.epoch;
            producer.window.clear();
        }
        if producer.window.len() == WINDOW {
            producer.window.pop_front();
        }
        producer.window.push_back(Kept {
            first: stamp.first,
            last: stamp.last(),
            base_offset,
            append_time,
        });
    }

    /// Forgets a producer, like brokers do when its state expires.
    pub(crate) fn forget(&mut self, id: i64) {
        self.0.remove(&id);
    }

    /// Returns all producers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.0.iter().map(|(id, producer)| (*id, producer))
    }
}

/// Returns the sequence `count` after `from`. After the largest one comes 0.
fn advance(from: i32, count: u32) -> i32 {
    ((i64::from(from) + i64::from(count)) % (i64::from(i32::MAX) + 1)) as i32
}

/// The number of batches that are remembered per producer and partition. Brokers keep five,
/// whatever clients have in flight.
const WINDOW: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(epoch: i16, first: i32, count: u32) -> Stamp {
        Stamp {
            id: 7,
            epoch,
            first,
            delta: count - 1,
        }
    }

    #[test]
    fn a_repeated_batch_is_answered_with_its_first_offset() {
        let mut producers = Producers::default();
        producers.note(stamp(0, 0, 3), 10, 99);
        producers.note(stamp(0, 3, 2), 13, 100);
        let duplicate = Verdict::Duplicate {
            base_offset: 10,
            append_time: 99,
        };
        assert_eq!(producers.check(stamp(0, 0, 3)), duplicate);
        assert_eq!(producers.check(stamp(0, 5, 1)), Verdict::Append);
    }

    #[test]
    fn a_gap_and_another_cut_of_known_records_are_out_of_order() {
        let mut producers = Producers::default();
        producers.note(stamp(0, 0, 3), 0, 0);
        for wrong in [stamp(0, 4, 1), stamp(0, 0, 2), stamp(0, 1, 2)] {
            assert_eq!(
                producers.check(wrong),
                Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
            );
        }
    }

    #[test]
    fn an_older_epoch_is_fenced_and_a_newer_one_begins_at_zero() {
        let mut producers = Producers::default();
        producers.note(stamp(4, 0, 1), 0, 0);
        assert_eq!(
            producers.check(stamp(3, 1, 1)),
            Verdict::Refuse(ErrorCode::INVALID_PRODUCER_EPOCH)
        );
        assert_eq!(
            producers.check(stamp(5, 1, 1)),
            Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
        assert_eq!(producers.check(stamp(5, 0, 1)), Verdict::Append);
    }

    #[test]
    fn the_sixth_batch_pushes_the_first_out_of_the_window() {
        let mut producers = Producers::default();
        for i in 0..6 {
            producers.note(stamp(0, i, 1), i64::from(i), 0);
        }
        assert_eq!(
            producers.check(stamp(0, 0, 1)),
            Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
        );
        assert!(matches!(
            producers.check(stamp(0, 1, 1)),
            Verdict::Duplicate { base_offset: 1, .. }
        ));
    }

    #[test]
    fn behind_the_largest_sequence_comes_zero() {
        let mut producers = Producers::default();
        producers.note(stamp(0, i32::MAX - 1, 2), 0, 0);
        assert_eq!(producers.check(stamp(0, 0, 1)), Verdict::Append);
        producers.note(stamp(0, 0, 1), 2, 0);
        assert_eq!(producers.check(stamp(0, 1, 1)), Verdict::Append);
    }

    proptest! {
        #[test]
        fn batches_in_order_are_appended_once_from_any_start(start in 0..=i32::MAX, counts in prop::collection::vec(1u32..2000, 1..40)) {
            let mut producers = Producers::default();
            let mut first = start;
            let mut offset = 0;
            for count in counts {
                let next = stamp(0, first, count);
                prop_assert_eq!(producers.check(next), Verdict::Append);
                producers.note(next, offset, 0);
                prop_assert_eq!(producers.check(next), Verdict::Duplicate { base_offset: offset, append_time: 0 });
                let skipped = stamp(0, advance(first, count + 1), 1);
                prop_assert_eq!(producers.check(skipped), Verdict::Refuse(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
                first = advance(first, count);
                offset += i64::from(count);
            }
        }
    }
}
