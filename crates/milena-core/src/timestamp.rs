//! Timestamps of Kafka records: milliseconds since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Creates a timestamp `millis` milliseconds after the Unix epoch, or before it if negative.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Reads a wire timestamp. `-1`, Kafka's "none", and every other negative number become `None`.
    #[must_use]
    pub const fn from_wire(raw: i64) -> Option<Self> {
        if raw < 0 { None } else { Some(Self(raw)) }
    }

    /// Returns the milliseconds since the Unix epoch.
    #[must_use]
    pub const fn to_millis(self) -> i64 {
        self.0
    }

    /// Returns the time of the system clock.
    #[must_use]
    pub fn now() -> Self {
        Self::from(SystemTime::now())
    }

    /// Returns the timestamp that is later by `by`, in whole milliseconds. Stops at the largest
    /// value.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Returns the time from `earlier` to this timestamp. Zero if this one is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_millis()).unwrap_or(i64::MAX)),
            Err(before) => {
                Self(i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms))
            }
        }
    }
}

/// The side that set a record's timestamp (topic config `message.timestamp.type`, KIP-32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// The producer set it when it created the record.
    #[default]
    Create,
    /// The broker set it when it appended the record.
    LogAppend,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_the_epoch_are_negative() {
        let before = UNIX_EPOCH - Duration::from_millis(1_500);
        assert_eq!(Timestamp::from(before), Timestamp::from_millis(-1_500));
    }

    #[test]
    fn a_later_time_is_never_earlier() {
        let now = Timestamp::from_millis(1_000);
        assert_eq!(now.plus(Duration::MAX).to_millis(), i64::MAX);
        assert_eq!(now.since(Timestamp::from_millis(2_000)), Duration::ZERO);
    }
}
