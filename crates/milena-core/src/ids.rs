//! Kafka's numbers, each with its own type. The wire's `-1` for "none" becomes `None` here.

use std::fmt;

use crate::{Error, ErrorKind, Result};

/// The number of a partition within its topic, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u32);

impl Partition {
    /// Creates a partition from its number. A number above `i32::MAX`, which Kafka does not have,
    /// becomes `i32::MAX`.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        if number > i32::MAX as u32 {
            Self(i32::MAX as u32)
        } else {
            Self(number)
        }
    }

    /// Reads a wire partition. A negative number, "none" or "any", becomes `None`.
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw < 0 {
            None
        } else {
            Some(Self(raw as u32))
        }
    }

    /// Returns the number in its wire form.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0 as i32
    }

    /// Returns the number for use as an index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl From<u32> for Partition {
    fn from(number: u32) -> Self {
        Self::new(number)
    }
}

/// The position of a record in its partition's log. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(i64);

impl Offset {
    /// The first offset of a log that was never trimmed.
    pub const ZERO: Self = Self(0);

    /// Creates an offset from its number. A number above `i64::MAX`, which Kafka does not have,
    /// becomes `i64::MAX`.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        if number > i64::MAX as u64 {
            Self(i64::MAX)
        } else {
            Self(number as i64)
        }
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// Reads a wire offset. A negative number becomes `None`. Kafka writes `-1` for "none".
    #[must_use]
    pub const fn from_wire(raw: i64) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// Returns the offset in its wire form.
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        self.0
    }

    /// Returns the offset after this one. Stops at the largest offset.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns the offset that is `count` after this one. Stops at the largest offset.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.saturating_add(count as i64))
    }

    /// Returns the number of offsets from `earlier` to this one. 0 if `earlier` is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        if self.0 > earlier.0 {
            self.0.abs_diff(earlier.0)
        } else {
            0
        }
    }
}

impl TryFrom<i64> for Offset {
    type Error = Error;

    /// # Errors
    /// [`ErrorKind::Config`] for a negative number, which is no offset.
    fn try_from(number: i64) -> Result<Self> {
        Self::from_wire(number).ok_or_else(|| {
            let what = format!("{number} is not an offset; offsets start at 0");
            Error::new(ErrorKind::Config, what)
        })
    }
}

impl From<u32> for Offset {
    fn from(number: u32) -> Self {
        Self(i64::from(number))
    }
}

/// The epoch of a partition's leader. It rises with each election (KIP-101, KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// Reads a wire leader epoch. A negative number becomes `None`. Kafka writes `-1` for
    /// "unknown".
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// Returns the epoch in its wire form.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0
    }
}

/// The number of a broker in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(i32);

impl NodeId {
    /// Reads a wire node id. A negative number becomes `None`. Kafka writes `-1` for "no node".
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// Returns the node id in its wire form.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0
    }
}

/// The id under which a broker stores the sequences of an idempotent producer (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(i64);

impl ProducerId {
    /// Reads a wire producer id. A negative number becomes `None`. Kafka writes `-1` for "none".
    #[must_use]
    pub const fn from_wire(raw: i64) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// Returns the producer id in its wire form.
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        self.0
    }
}

/// The epoch of a producer id. A higher epoch fences the lower ones (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    /// Reads a wire producer epoch. A negative number becomes `None`. Kafka writes `-1` for "none".
    #[must_use]
    pub const fn from_wire(raw: i16) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// Returns the epoch in its wire form.
    #[must_use]
    pub const fn to_wire(self) -> i16 {
        self.0
    }

    /// Returns the next epoch. `None` if the producer id is used up and a new id is needed.
    #[must_use]
    pub const fn bump(self) -> Option<Self> {
        // Kafka's coordinator never hands out the largest epoch to a producer. It keeps it for
        // fencing.
        if self.0 >= i16::MAX - 1 {
            None
        } else {
            Some(Self(self.0 + 1))
        }
    }
}

/// The number of a record within its producer id, epoch and partition. Runs from 0 to `i32::MAX`,
/// and then starts again at 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence(i32);

impl Sequence {
    /// The sequence of the first record.
    pub const ZERO: Self = Self(0);

    /// Reads a wire sequence. A negative number becomes `None`. Kafka writes `-1` for "none".
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// Returns the sequence in its wire form.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0
    }

    /// Returns the sequence `count` records later. Starts again at 0 after `i32::MAX`.
    #[must_use]
    pub const fn advance(self, count: u32) -> Self {
        Self(((self.0 as i64 + count as i64) & 0x7fff_ffff) as i32)
    }
}

macro_rules! display_as_number {
    ($($name:ident)*) => {
        $(impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        })*
    };
}
display_as_number!(Partition Offset LeaderEpoch NodeId ProducerId ProducerEpoch Sequence);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_wire_number_is_none() {
        assert_eq!(Offset::from_wire(-1), None);
        assert_eq!(Partition::from_wire(-1), None);
        assert_eq!(NodeId::from_wire(-1), None);
        assert_eq!(Offset::from_wire(7).map(Offset::next), Offset::from_wire(8));
    }

    #[test]
    fn an_offset_is_made_from_its_number_and_returns_it() {
        assert_eq!(Offset::new(42).number(), 42);
        assert_eq!(Offset::new(42), Offset::from(42_u32));
        assert_eq!(Offset::new(0), Offset::ZERO);
    }

    #[test]
    fn a_number_that_kafka_does_not_have_becomes_the_largest_offset() {
        let largest = i64::MAX.unsigned_abs();
        assert_eq!(Offset::new(largest + 1).number(), largest);
        assert_eq!(Offset::new(u64::MAX).to_wire(), i64::MAX);
    }

    #[test]
    fn a_sequence_goes_round_after_the_largest() {
        let last = Sequence(i32::MAX);
        assert_eq!(last.advance(1), Sequence::ZERO);
        assert_eq!(Sequence(i32::MAX - 1).advance(3), Sequence(1));
        assert_eq!(Sequence(5).advance(0), Sequence(5));
    }

    #[test]
    fn an_epoch_ends_before_the_value_that_the_broker_keeps() {
        assert_eq!(ProducerEpoch(i16::MAX - 1).bump(), None);
        assert_eq!(ProducerEpoch(0).bump(), Some(ProducerEpoch(1)));
    }

    #[test]
    fn the_distance_of_offsets_never_goes_below_zero() {
        assert_eq!(Offset(3).since(Offset(9)), 0);
        assert_eq!(Offset(9).since(Offset(3)), 6);
    }
}
