//! Places to start reading a partition, or to seek to.

use std::time::Duration;

use milena_core::{Error, ErrorKind, Offset, OffsetReset, Result, Timestamp};

use crate::partition::FetchFrom;

/// The place to start reading a partition, or to [seek](crate::Consumer::seek) to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The first record in the log.
    Beginning,
    /// The end of the log, behind its last record.
    End,
    /// This offset.
    Offset(Offset),
    /// The first record with this timestamp or a later one. The end of the log if there is none.
    /// `seek` refuses a time before 1970 with an error. `assign` accepts it, but the reader of that
    /// partition then gets an error, and nothing of it is read before a seek.
    Timestamp(Timestamp),
    /// The first record that is at most this old, by the consumer's clock. The end of the log if
    /// there is none.
    Ago(Duration),
}

impl StartAt {
    /// Returns an error for a time before 1970, which no record has.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Timestamp(time) => check_time(time),
            Self::Beginning | Self::End | Self::Offset(_) | Self::Ago(_) => Ok(()),
        }
    }

    /// Returns the place at which to start fetching.
    pub(crate) fn place(self) -> FetchFrom {
        match self {
            Self::Beginning => FetchFrom::Lookup(OffsetReset::Earliest),
            Self::End => FetchFrom::Lookup(OffsetReset::Latest),
            Self::Offset(offset) => FetchFrom::At(offset),
            Self::Timestamp(time) => FetchFrom::Lookup(OffsetReset::Timestamp(time)),
            Self::Ago(time) => FetchFrom::Lookup(OffsetReset::Duration(time)),
        }
    }
}

/// Returns an error for a time before 1970. In ListOffsets the timestamps -1 and -2 mean the end
/// and the start of the log, which the caller did not ask for.
pub(crate) fn check_time(time: Timestamp) -> Result<()> {
    match time.to_millis() < 0 {
        true => Err(Error::new(
            ErrorKind::Config,
            "the time is before 1970, and no record can be found by it",
        )),
        false => Ok(()),
    }
}

impl From<Offset> for StartAt {
    fn from(offset: Offset) -> Self {
        Self::Offset(offset)
    }
}

impl From<Timestamp> for StartAt {
    fn from(time: Timestamp) -> Self {
        Self::Timestamp(time)
    }
}
