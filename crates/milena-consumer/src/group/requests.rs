//! Conversions that several requests of the group share.

use std::time::Duration;

/// Returns a duration in milliseconds, as requests carry it. Longer ones become the largest value.
pub(super) fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
