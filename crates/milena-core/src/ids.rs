//! Kafka's numbers, each with a type of its own; the wire's `-1` for "none" never gets past them.

use std::fmt;

use crate::{Error, ErrorKind, Result};

/// The number of a partition within its topic, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(u32);

impl Partition {
    /// A partition by its number; none above `i32::MAX` exists in Kafka, and larger numbers are cut to that.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        if number > i32::MAX as u32 {
            Self(i32::MAX as u32)
        } else {
            Self(number)
        }
    }

    /// Reads a wire partition; negative numbers mean "none" or "any".
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw < 0 {
            None
        } else {
            Some(Self(raw as u32))
        }
    }

    /// The number as the wire carries it.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0 as i32
    }

    /// The number, for use as an index.
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

/// Position of a record in its partition's log. Never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(i64);

impl Offset {
    /// The first offset of a log that was never trimmed.
    pub const ZERO: Self = Self(0);

    /// An offset by its number; none above `i64::MAX` exists in Kafka, and larger numbers are cut to that.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        if number > i64::MAX as u64 {
            Self(i64::MAX)
        } else {
            Self(number as i64)
        }
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// Reads a wire offset; Kafka writes "none" as `-1`.
    #[must_use]
    pub const fn from_wire(raw: i64) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// The offset as the wire carries it.
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        self.0
    }

    /// The offset after this one; stays at the largest there is.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The offset `count` after this one; stays at the largest there is.
    #[must_use]
    pub const fn plus(self, count: u32) -> Self {
        Self(self.0.saturating_add(count as i64))
    }

    /// How many offsets lie from `earlier` to this one; 0 where `earlier` is not earlier.
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
            let what = format!("{number} is no offset: offsets begin at 0");
            Error::new(ErrorKind::Config, what)
        })
    }
}

impl From<u32> for Offset {
    fn from(number: u32) -> Self {
        Self(i64::from(number))
    }
}

/// The epoch of a partition's leader: rises with each election (KIP-101, KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// Reads a wire leader epoch; Kafka writes "unknown" as `-1`.
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// The epoch as the wire carries it.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0
    }
}

/// The number of a broker in its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(i32);

impl NodeId {
    /// Reads a wire node id; Kafka writes "no node" as `-1`.
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// The node id as the wire carries it.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0
    }
}

/// The id under which a broker remembers an idempotent producer's sequences (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerId(i64);

impl ProducerId {
    /// Reads a wire producer id; Kafka writes "none" as `-1`.
    #[must_use]
    pub const fn from_wire(raw: i64) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// The producer id as the wire carries it.
    #[must_use]
    pub const fn to_wire(self) -> i64 {
        self.0
    }
}

/// The epoch of a producer id: a higher one fences the lower (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProducerEpoch(i16);

impl ProducerEpoch {
    /// Reads a wire producer epoch; Kafka writes "none" as `-1`.
    #[must_use]
    pub const fn from_wire(raw: i16) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// The epoch as the wire carries it.
    #[must_use]
    pub const fn to_wire(self) -> i16 {
        self.0
    }

    /// The next epoch, or `None` when the producer id is used up and a new one is needed.
    #[must_use]
    pub const fn bump(self) -> Option<Self> {
        // The broker keeps the largest value for itself.
        if self.0 >= i16::MAX - 1 {
            None
        } else {
            Some(Self(self.0 + 1))
        }
    }
}

/// The number of a record among those of its producer id, epoch and partition; runs from 0 to `i32::MAX`, then again from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sequence(i32);

impl Sequence {
    /// The sequence of the first record.
    pub const ZERO: Self = Self(0);

    /// Reads a wire sequence; Kafka writes "none" as `-1`.
    #[must_use]
    pub const fn from_wire(raw: i32) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// The sequence as the wire carries it.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0
    }

    /// The sequence `count` records later, going round after `i32::MAX`.
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
