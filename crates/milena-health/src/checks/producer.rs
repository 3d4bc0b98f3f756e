//! Whether a producer's memory is full.

use super::{Look, Verdict};
use crate::report::State;
use crate::sample::Sample;
use crate::words::span;

/// Whether the fullest producer has next to no room.
pub(super) fn is_full(sample: &Sample) -> bool {
    sample
        .buffer
        .is_some_and(|(used, limit)| limit > 0 && used >= limit / 100 * 95)
}

/// The memory of producers drains. Told where there is a producer.
pub(super) fn buffer(look: &Look<'_>) -> Option<Verdict> {
    let (used, limit) = look.sample.buffer?;
    let age = look.age(look.memory.full.of(&()));
    let what = format!("{used} of {limit} bytes");
    Some(
        if is_full(look.sample) && age >= look.settings.buffer_after {
            let reason = format!("full for {}: {what}", span(age));
            Verdict::new("buffer", State::Degraded, reason)
        } else {
            Verdict::new("buffer", State::Ok, what)
        },
    )
}
