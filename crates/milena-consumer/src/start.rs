//! Where to begin to read a partition, or to go on.

use std::time::Duration;

use milena_core::{Error, ErrorKind, Offset, Result, Timestamp};

use crate::partition::Place;
use crate::settings::OffsetReset;

/// Where to begin to read a partition, or where to [seek](crate::Consumer::seek).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the first record there is.
    Beginning,
    /// Behind the last record there is now.
    End,
    /// At this offset.
    Offset(Offset),
    /// At the first record that has this timestamp or a later one; behind the last record where there is none. A time before 1970 is
    /// refused by `seek`, and is the beginning for `assign`.
    Timestamp(Timestamp),
    /// At the first record of this last stretch of time, by the consumer's clock; behind the last record where there is none.
    Ago(Duration),
}

impl StartAt {
    /// Refuses a time that no record has.
    pub(crate) fn check(self) -> Result<()> {
        match self {
            Self::Timestamp(time) => check_time(time),
            Self::Beginning | Self::End | Self::Offset(_) | Self::Ago(_) => Ok(()),
        }
    }

    pub(crate) fn place(self) -> Place {
        match self {
            Self::Beginning => Place::Lookup(OffsetReset::Earliest),
            Self::End => Place::Lookup(OffsetReset::Latest),
            Self::Offset(offset) => Place::At(offset),
            Self::Timestamp(time) => Place::Lookup(OffsetReset::Timestamp(time)),
            Self::Ago(time) => Place::Lookup(OffsetReset::Duration(time)),
        }
    }
}

/// Refuses a time before 1970: on the wire -1 and -2 are the end and the beginning, and whoever names a time means neither.
pub(crate) fn check_time(time: Timestamp) -> Result<()> {
    match time.to_millis() < 0 {
        true => Err(Error::new(
            ErrorKind::Config,
            "the time lies before 1970, and no record can be found by it",
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
