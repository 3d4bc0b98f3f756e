//! An offset that a group commits, with its leader epoch and a text.

use std::sync::Arc;

use milena_core::{LeaderEpoch, Offset};

/// The offset at which a group resumes a partition, as the coordinator stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The offset to resume at. It is one past the last record that is done.
    pub offset: Offset,
    /// The epoch of the leader that wrote the record before the offset. With it, the next reader
    /// notices that the log was truncated (KIP-320). `None` lets the consumer fill in the epoch
    /// that it knows.
    pub leader_epoch: Option<LeaderEpoch>,
    /// A text for people and tools. Brokers accept up to 4,096 characters by default
    /// (`offset.metadata.max.bytes`).
    pub metadata: Arc<str>,
}

impl OffsetAndMetadata {
    /// Returns the offset with a text.
    pub fn new(offset: Offset, metadata: impl Into<Arc<str>>) -> Self {
        Self {
            offset,
            leader_epoch: None,
            metadata: metadata.into(),
        }
    }
}

impl From<Offset> for OffsetAndMetadata {
    fn from(offset: Offset) -> Self {
        Self::new(offset, "")
    }
}
