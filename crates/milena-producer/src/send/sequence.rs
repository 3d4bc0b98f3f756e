//! The sequence numbers of one partition. They decide which range a batch gets, and when only a new
//! epoch can go on.

use milena_core::Sequence;
use milena_protocol::batch::ProducerStamp;

use crate::send::identity::Identity;

/// The sequences of one partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sequences {
    /// The identity that the sequences belong to. `None` before the first batch.
    identity: Option<Identity>,
    /// The sequence of the next record.
    next: Sequence,
    /// The number of batches that were given a range.
    ranges: u64,
    /// True if the broker acknowledged the last batch that it answered. Until then one batch is in
    /// flight at a time.
    steady: bool,
    /// True once a range was lost, so that brokers refuse all later batches of this epoch.
    gap: bool,
}

impl Sequences {
    /// Returns the identity that the sequences belong to.
    pub(crate) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Starts from zero as `identity`.
    pub(crate) fn begin(&mut self, identity: Identity) {
        *self = Self {
            identity: Some(identity),
            ..Self::default()
        };
    }

    /// Returns the range for the next `count` records. It belongs to them for good.
    pub(crate) fn stamp(&mut self, count: u32) -> Option<ProducerStamp> {
        let Identity { id, epoch } = self.identity?;
        let sequence = self.next;
        self.next = sequence.advance(count);
        self.ranges += 1;
        Some(ProducerStamp {
            id,
            epoch,
            sequence,
            transactional: false,
        })
    }

    /// Returns the number of batches that were given a range so far.
    pub(crate) fn ranges(&self) -> u64 {
        self.ranges
    }

    /// Notes that a batch is sent in two parts, each with half of its range.
    pub(crate) fn parted(&mut self) {
        self.ranges += 1;
    }

    /// Returns true if another batch may be sent while an earlier one has no answer yet. `oldest`
    /// is the number of ranges given out before that one.
    ///
    /// A broker remembers the last five batches. If it had written more behind the oldest one, it
    /// could no longer tell whether that one is in the log, and it would write it twice.
    pub(crate) fn has_room(&self, oldest: u64) -> bool {
        self.ranges.saturating_sub(oldest) < REMEMBERED
    }

    /// Returns the most batches in flight, of at most `limit`.
    ///
    /// It is one until the first batch is acknowledged, and after a failure. A broker that does not
    /// know this producer accepts any sequence, so a second batch must not overtake the first one's
    /// retry.
    pub(crate) fn in_flight(&self, limit: usize) -> usize {
        if self.steady { limit } else { 1 }
    }

    /// Notes that a batch was acknowledged.
    pub(crate) fn acknowledged(&mut self) {
        self.steady = true;
    }

    /// Notes that a batch has to be sent again.
    pub(crate) fn stumbled(&mut self) {
        self.steady = false;
    }

    /// Notes that a range which was sent will not be sent again, or that the broker forgot this
    /// producer. Brokers refuse what follows the gap until the epoch changes.
    pub(crate) fn lost(&mut self) {
        self.gap = true;
        self.steady = false;
    }

    /// Returns true if only a new epoch can go on.
    pub(crate) fn has_gap(&self) -> bool {
        self.gap
    }
}

/// The number of a producer's batches that a broker remembers for each partition (KIP-98).
const REMEMBERED: u64 = 5;

#[cfg(test)]
mod tests {
    use milena_core::{ProducerEpoch, ProducerId};
    use proptest::prelude::*;

    use super::*;

    fn identity(epoch: i16) -> Identity {
        Identity {
            id: ProducerId::from_wire(7).unwrap(),
            epoch: ProducerEpoch::from_wire(epoch).unwrap(),
        }
    }

    #[test]
    fn ranges_follow_each_other_and_never_repeat() {
        let mut sequences = Sequences::default();
        assert!(sequences.stamp(1).is_none());
        sequences.begin(identity(0));
        let starts: Vec<_> = [10, 1, 5]
            .into_iter()
            .map(|count| sequences.stamp(count).unwrap().sequence.to_wire())
            .collect();
        assert_eq!(starts, [0, 10, 11]);
    }

    #[test]
    fn five_fly_only_after_the_first_is_acknowledged() {
        let mut sequences = Sequences::default();
        sequences.begin(identity(0));
        assert_eq!(sequences.in_flight(5), 1);
        sequences.acknowledged();
        assert_eq!(sequences.in_flight(5), 5);
        sequences.stumbled();
        assert_eq!(sequences.in_flight(5), 1);
    }

    #[test]
    fn no_more_go_out_behind_a_batch_than_a_broker_remembers() {
        let mut sequences = Sequences::default();
        sequences.begin(identity(0));
        let oldest = sequences.ranges();
        for _ in 0..4 {
            sequences.stamp(1);
            assert!(sequences.has_room(oldest));
        }
        sequences.stamp(1);
        assert!(!sequences.has_room(oldest));
        assert!(sequences.has_room(oldest + 1));
        sequences.parted();
        assert!(!sequences.has_room(oldest + 1));
    }

    #[test]
    fn a_new_epoch_starts_from_zero_without_the_gap() {
        let mut sequences = Sequences::default();
        sequences.begin(identity(0));
        sequences.stamp(9);
        sequences.lost();
        assert!(sequences.has_gap());
        sequences.begin(identity(0).bump().unwrap());
        assert!(!sequences.has_gap());
        let stamp = sequences.stamp(1).unwrap();
        assert_eq!((stamp.epoch.to_wire(), stamp.sequence), (1, Sequence::ZERO));
        assert_eq!(identity(i16::MAX - 1).bump(), None);
    }
    fn sequence(raw: i32) -> Sequence {
        Sequence::from_wire(raw).unwrap()
    }

    #[test]
    fn behind_the_largest_sequence_the_ranges_go_on_at_zero() {
        let mut sequences = Sequences::default();
        sequences.begin(identity(0));
        sequences.next = sequence(i32::MAX - 3);
        let starts: Vec<_> = (0..10)
            .map(|_| sequences.stamp(1).unwrap().sequence.to_wire())
            .collect();
        assert_eq!(
            starts[..4],
            [i32::MAX - 3, i32::MAX - 2, i32::MAX - 1, i32::MAX]
        );
        assert_eq!(starts[4..], [0, 1, 2, 3, 4, 5]);
    }

    proptest! {
        #[test]
        fn around_the_whole_ring_each_range_begins_where_the_last_one_ended(
            start in prop_oneof![0..=i32::MAX, i32::MAX - 5000..=i32::MAX],
            counts in prop::collection::vec(1u32..2000, 1..40),
        ) {
            let mut sequences = Sequences::default();
            sequences.begin(identity(0));
            sequences.next = sequence(start);
            let mut expected = i64::from(start);
            for count in counts {
                let stamp = sequences.stamp(count).unwrap();
                prop_assert_eq!(i64::from(stamp.sequence.to_wire()), expected);
                expected = (expected + i64::from(count)) % (1 << 31);
            }
        }
    }
}
