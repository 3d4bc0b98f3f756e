//! Whether handlers' layers let records through: lanes, dead letters, breakers.

use super::{Look, Verdict};
use crate::report::State;
use crate::words::list;

/// No lane stands still for good. Told where there is a consumer.
pub(super) fn lanes(look: &Look<'_>) -> Option<Verdict> {
    const NAME: &str = "lanes";
    let stopped: Vec<_> = look.notes.lanes.values().cloned().collect();
    if stopped.is_empty() {
        let count = look.sample.partitions.len();
        let reason = format!("none of {count} partitions is stopped");
        return look
            .has_consumer()
            .then(|| Verdict::new(NAME, State::Ok, reason));
    }
    let reason = format!("{} stopped: {}", stopped.len(), list(stopped));
    Some(Verdict::new(NAME, State::Failing, reason))
}

/// What cannot be processed can be written to its dead letter topic. Told where a stack has one.
pub(super) fn dead_letters(look: &Look<'_>) -> Option<Verdict> {
    of_gates(look, "dead_letters", "dead-letter:", State::Failing)
}

/// Dependencies are there. Told where a stack has a breaker.
pub(super) fn breakers(look: &Look<'_>) -> Option<Verdict> {
    of_gates(look, "breakers", "breaker:", State::Degraded)
}

fn of_gates(look: &Look<'_>, name: &str, prefix: &str, when_closed: State) -> Option<Verdict> {
    let sample = look.sample;
    let count = sample
        .gates
        .iter()
        .filter(|gate| gate.starts_with(prefix))
        .count();
    if count == 0 {
        return None;
    }
    let closed = sample.closed.iter();
    let closed = closed.filter_map(|(gate, reason)| Some((gate.strip_prefix(prefix)?, reason)));
    let closed: Vec<_> = closed
        .map(|(of, reason)| format!("{of}: {reason}"))
        .collect();
    Some(if closed.is_empty() {
        Verdict::new(name, State::Ok, format!("{count}, none in the way"))
    } else {
        Verdict::new(name, when_closed, list(closed))
    })
}
