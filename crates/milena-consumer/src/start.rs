//! Where to begin to read a partition, or to go on.

use std::time::Duration;

use milena_core::{Offset, Timestamp};

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
    /// At the first record that has this timestamp or a later one; behind the last record where there is none.
    Timestamp(Timestamp),
    /// At the first record of this last stretch of time, by the consumer's clock; behind the last record where there is none.
    Ago(Duration),
}

impl StartAt {
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
