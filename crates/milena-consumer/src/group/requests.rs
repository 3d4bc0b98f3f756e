//! Conversions that several requests of the group share.

use std::time::Duration;

use milena_protocol::kafka::protocol::StrBytes;

/// Returns a duration in milliseconds, as requests carry it. Longer ones become the largest value.
pub(super) fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}

/// Returns a copy of a text, as requests carry it.
pub(super) fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}
