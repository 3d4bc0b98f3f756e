//! Small parts of the group's requests.

use std::time::Duration;

/// Milliseconds on the wire.
pub(super) fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
