//! The reasons why a record is not taken.

use std::fmt;

use milena_core::{Error, Persistence};

/// The reason why [`Producer::try_enqueue`](crate::Producer::try_enqueue) did not take a record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TryEnqueueError {
    /// `buffer_memory` is used up.
    Full,
    /// The topic's partitions are not known yet.
    NotReady,
    /// The record or the producer cannot be used.
    Refused(Error),
}

impl fmt::Display for TryEnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("buffer.memory is used up"),
            Self::NotReady => f.write_str("the topic's partitions are not known yet"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TryEnqueueError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => error.source(),
            _ => None,
        }
    }
}

/// Adds to an error that nothing was written.
pub(crate) fn unwritten(error: Error) -> Error {
    error.with_persistence(Persistence::NotWritten)
}
