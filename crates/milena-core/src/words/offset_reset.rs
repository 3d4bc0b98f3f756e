//! The place to start without a committed offset.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::duration::{parse_duration, written};
use super::table::wrong;
use crate::{Error, Result, Timestamp};

/// The place to start if a group has no committed offset for a partition, or if the offset is out
/// of the log's range (`auto.offset.reset`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetReset {
    /// Start at the first record in the log. The default, so that a new group misses no record.
    #[default]
    Earliest,
    /// Start behind the last record in the log, at an offset that is looked up once. Only records
    /// from before the consumer subscribed are left out. A partition that is added to a topic
    /// later, a topic that starts to match the pattern later, and a topic that is created again are
    /// read from their first record.
    Latest,
    /// Start at the first record with this timestamp or a later one. Start behind the last record
    /// if there is none.
    Timestamp(Timestamp),
    /// Start at the first record that is at most this old when the position is looked up
    /// (`by_duration` of KIP-1106). Start behind the last record if there is none.
    Duration(Duration),
    /// Do not start. The reader gets an error that names the partition, and nothing is read before
    /// a seek.
    None,
}

impl OffsetReset {
    /// The forms in which it is written, as a text lists them.
    pub const ALLOWED: &'static str =
        "earliest, latest, none, duration:TIME such as duration:6h, or timestamp:MILLISECONDS";
}

impl fmt::Display for OffsetReset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.pad("earliest"),
            Self::Latest => f.pad("latest"),
            Self::None => f.pad("none"),
            Self::Duration(time) => write!(f, "duration:{}", written(*time)),
            Self::Timestamp(at) => write!(f, "timestamp:{}", at.to_millis()),
        }
    }
}

impl FromStr for OffsetReset {
    type Err = Error;

    /// Reads a place to start.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) with all forms, for any other text.
    fn from_str(text: &str) -> Result<Self> {
        let read = match text {
            "earliest" => Some(Self::Earliest),
            "latest" => Some(Self::Latest),
            "none" => Some(Self::None),
            _ => measured(text),
        };
        read.ok_or_else(|| wrong("auto.offset.reset", text, Self::ALLOWED))
    }
}

/// Reads a place that is given by a time.
fn measured(text: &str) -> Option<OffsetReset> {
    match text.split_once(':')? {
        ("duration", time) => parse_duration(time)
            .filter(|time| *time > Duration::ZERO)
            .map(OffsetReset::Duration),
        ("timestamp", millis) => {
            let at = Timestamp::from_wire(millis.parse().ok()?)?;
            Some(OffsetReset::Timestamp(at))
        }
        _ => None,
    }
}
