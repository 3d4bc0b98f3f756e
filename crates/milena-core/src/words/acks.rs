//! The replicas that must have a batch.

use super::table::words;

/// The replicas that must have a batch before the broker acknowledges it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Acks {
    /// No replica. The broker does not answer, and a lost record is never noticed. Kafka's `0`.
    None,
    /// The leader alone. A record is lost if the leader fails before its followers have it. Kafka's
    /// `1`.
    Leader,
    /// All in-sync replicas. Kafka's `all`.
    #[default]
    All,
}

words! {
    Acks of "acks" {
        All = "all" | "-1",
        Leader = "1",
        None = "0",
    }
}

impl Acks {
    /// Reads the number of a Produce request. `None` if it stands for nothing.
    #[must_use]
    pub const fn from_wire(raw: i16) -> Option<Self> {
        match raw {
            0 => Some(Self::None),
            1 => Some(Self::Leader),
            -1 => Some(Self::All),
            _ => None,
        }
    }

    /// Returns the number that stands for it in a Produce request.
    #[must_use]
    pub const fn to_wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}
