//! The check that a producer's memory drains.

use super::{Look, Verdict};
use crate::report::State;
use crate::words::span;

/// Checks that callers do not wait too long for a producer's memory. Reported if there is a
/// producer.
pub(super) fn buffer(look: &Look<'_>) -> Option<Verdict> {
    let buffer = look.sample.buffer?;
    let (used, limit) = buffer.used;
    let what = format!("{used} of {limit} bytes");
    let long = buffer
        .waited
        .filter(|waited| *waited >= look.limits.buffer_after);
    Some(match long {
        Some(waited) => {
            let reason = format!("full, callers have waited for {}: {what}", span(waited));
            Verdict::new("buffer", State::Degraded, reason)
        }
        None => Verdict::new("buffer", State::Ok, what),
    })
}
