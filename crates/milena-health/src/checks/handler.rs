//! The checks that handlers' layers let records through, for lanes, dead letters, breakers and
//! panics of user code.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Look, Verdict};
use crate::report::State;
use crate::words::{count, list, span};

/// Checks that no lane has stopped. Reported if there is a consumer.
pub(super) fn lanes(look: &Look<'_>) -> Option<Verdict> {
    const NAME: &str = "lanes";
    let clients = look.notes.clients.values();
    let stopped: Vec<_> = clients
        .flat_map(|notes| notes.lanes.values().cloned())
        .collect();
    if stopped.is_empty() {
        let reason = match look.sample.partitions.len() as u64 {
            0 => "no partition is assigned".to_owned(),
            partitions => format!("none of {} is stopped", count(partitions, "partition")),
        };
        return look
            .has_consumer()
            .then(|| Verdict::new(NAME, State::Ok, reason));
    }
    let reason = format!("{} stopped: {}", stopped.len(), list(stopped));
    Some(Verdict::new(NAME, State::Failing, reason))
}

/// Checks that dead letter topics can be written. Reported if a stack has one.
pub(super) fn dead_letters(look: &Look<'_>) -> Option<Verdict> {
    of_gates(look, "dead_letters", "dead-letter:", State::Failing)
}

/// Checks that no breaker is open. Reported if a stack has one.
pub(super) fn breakers(look: &Look<'_>) -> Option<Verdict> {
    of_gates(look, "breakers", "breaker:", State::Degraded)
}

/// Checks the gates whose name begins with `prefix`. A closed gate makes the state `when_closed`.
fn of_gates(look: &Look<'_>, name: &str, prefix: &str, when_closed: State) -> Option<Verdict> {
    let (mut open, mut closed) = (BTreeSet::new(), BTreeSet::new());
    for ((_, _, gate), reason) in &look.sample.gates {
        let Some(of) = gate.strip_prefix(prefix) else {
            continue;
        };
        match reason {
            None => drop(open.insert(of.to_owned())),
            Some(reason) => drop(closed.insert(format!("{of}: {reason}"))),
        }
    }
    if !closed.is_empty() {
        let reason = list(closed.into_iter().collect());
        return Some(Verdict::new(name, when_closed, reason));
    }
    (!open.is_empty()).then(|| {
        let reason = format!("no record waits for {}", list(open.into_iter().collect()));
        Verdict::new(name, State::Ok, reason)
    })
}

/// Checks that user code on the client's own tasks does not panic. Reported for [`REMEMBERED`]
/// after a panic.
pub(super) fn panics(look: &Look<'_>) -> Option<Verdict> {
    let noted = look.notes.clients.values();
    let noted = noted.filter_map(|notes| notes.panicked.as_ref());
    let noted = noted.filter_map(|panicked| {
        let age = look.age(Some(panicked.latest));
        let times = count(panicked.times, "time");
        (age < REMEMBERED)
            .then(|| format!("{} ({times}, the last {} ago)", panicked.what, span(age)))
    });
    let seen = look.sample.panics.iter();
    let seen = seen.map(|text| format!("gauges: {text}"));
    let all: Vec<_> = noted.chain(seen).collect();
    (!all.is_empty()).then(|| Verdict::new("panics", State::Degraded, list(all)))
}

/// The time that a contained panic is reported.
const REMEMBERED: Duration = Duration::from_secs(600);
