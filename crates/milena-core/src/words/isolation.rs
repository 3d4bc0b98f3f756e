//! The records that a consumer sees while transactions are open.

use super::table::words;

/// The records that a consumer sees.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum IsolationLevel {
    /// All records, including those of open and aborted transactions.
    ReadUncommitted,
    /// Records up to the last stable offset. The client leaves out those of aborted transactions.
    #[default]
    ReadCommitted,
}

words! {
    IsolationLevel of "isolation.level" {
        ReadCommitted = "read_committed",
        ReadUncommitted = "read_uncommitted",
    }
}

impl IsolationLevel {
    /// Returns the level on the wire.
    #[must_use]
    pub const fn to_wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}
