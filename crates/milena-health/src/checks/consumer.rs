//! The checks that consumers run, are members, settle records and commit offsets.

use std::collections::BTreeMap;
use std::time::Duration;

use milena_core::NextStep;

use super::{Look, Verdict};
use crate::clients::ClientId;
use crate::report::State;
use crate::sample::{Members, PlaceKey, Waits};
use crate::words::{count, list, span};

/// Checks that consumers run until their program closes them. Reported once a consumer was started.
pub(super) fn consumers(look: &Look<'_>) -> Option<Verdict> {
    const NAME: &str = "consumers";
    let (mut ended, mut dead) = (Vec::new(), false);
    let mut running = Vec::new();
    for (client, notes) in &look.notes.clients {
        for (group, failures) in &notes.ended {
            for failure in failures {
                let age = look.age(Some(failure.since));
                dead |= age >= look.limits.dead_after && look.is_reachable(*client);
                ended.push(format!(
                    "the consumer of {} ended {} ago and was not replaced: {}",
                    group_name(group),
                    span(age),
                    failure.reason
                ));
            }
        }
        running.extend(notes.running.keys().map(|group| group_name(group)));
    }
    if !ended.is_empty() {
        let verdict = Verdict::new(NAME, State::Failing, list(ended));
        return Some(Verdict { dead, ..verdict });
    }
    running.dedup();
    (!running.is_empty()).then(|| {
        let reason = format!("running for {}", list(running));
        Verdict::new(NAME, State::Ok, reason)
    })
}

/// Checks that records are settled wherever there are some.
pub(super) fn progress(look: &Look<'_>) -> Verdict {
    const NAME: &str = "progress";
    let (mut stalled, mut dead) = (Vec::new(), false);
    let (mut lag, mut held) = (0_u64, Vec::new());
    for (key, place) in &look.sample.partitions {
        lag = lag.saturating_add(place.lag);
        let Some((waits, told)) = &place.waits else {
            continue;
        };
        let (client, group, partition) = key;
        if let Waits::Held(offset, left) = waits {
            // The record is held on purpose, so the partition is not stalled.
            held.push(format!("{partition}@{offset} is due in {}", span(*left)));
            continue;
        }
        // The consumer's figure is the age of one record. Progress between two looks shows that the
        // partition itself has not been stalled for longer than that.
        let bound = look.memory.progress.bound(key);
        let age = bound.map_or(*told, |bound| look.age(Some(bound)).min(*told));
        if age < look.limits.stalled_after {
            continue;
        }
        let pause = look.sample.pauses.get(key);
        let (what, may_be_dead) = waits_for(look, key, waits);
        dead |= may_be_dead
            && pause.is_none()
            && age >= look.limits.dead_after
            && look.is_reachable(*client);
        let by = pause.map_or_else(String::new, |by| format!(", held by {by}"));
        let behind = count(place.lag, "record");
        let group = group_name(group);
        stalled.push(format!(
            "{partition} of {group}: {what} for {}, {behind} behind{by}",
            span(age)
        ));
    }
    if stalled.is_empty() {
        let partitions = count(look.sample.partitions.len() as u64, "partition");
        let mut reason = format!("{partitions}, {} behind", count(lag, "record"));
        if !held.is_empty() {
            reason.push_str(&format!("; held until their time: {}", list(held)));
        }
        return Verdict::new(NAME, State::Ok, reason);
    }
    Verdict::wrong(NAME, list(stalled), dead)
}

/// Returns a partition's next step in words, and true if a restart could help. A handler that takes
/// long would only start over after a restart.
fn waits_for(look: &Look<'_>, key: &PlaceKey, waits: &Waits) -> (String, bool) {
    let place = look.sample.partitions.get(key);
    match waits {
        Waits::Record(offset, what) => (format!("record {offset} {what}"), false),
        Waits::Held(offset, _) => (format!("record {offset} is held"), false),
        Waits::Nobody(offset) => (
            format!("record {offset} was delivered and no lane works on it"),
            true,
        ),
        Waits::Step(NextStep::Lane) => ("no lane takes the fetched records".to_owned(), true),
        Waits::Step(NextStep::Program) => {
            let what = "the program does not ask for the fetched records";
            (what.to_owned(), false)
        }
        Waits::Step(step) => {
            let what = match step {
                NextStep::Position => "its position is not found",
                _ => "nothing is fetched",
            };
            // If brokers refuse the fetches, a restart changes nothing.
            let refused = place.and_then(|place| place.trouble.as_ref());
            (what.to_owned(), refused.is_none())
        }
    }
}

/// Checks that partitions can be fetched.
pub(super) fn fetches(look: &Look<'_>) -> Verdict {
    const NAME: &str = "fetches";
    // For each consumer, true while all of its partitions have failed for long.
    let mut whole: BTreeMap<(ClientId, &str), bool> = BTreeMap::new();
    let (mut failing, mut longest) = (Vec::new(), Duration::ZERO);
    for ((client, group, partition), place) in &look.sample.partitions {
        let age = place.trouble.as_ref().map(|(_, age)| *age);
        let all = whole.entry((*client, group)).or_insert(true);
        *all &= age.is_some_and(|age| age >= look.limits.stalled_after);
        if let Some((error, age)) = &place.trouble
            && *age >= look.limits.fetches_after
        {
            longest = longest.max(*age);
            failing.push(format!("{partition} for {}: {error}", span(*age)));
        }
    }
    if failing.is_empty() {
        return Verdict::new(NAME, State::Ok, "none fails");
    }
    let failing_for_long = longest >= look.limits.dead_after;
    let state = if failing_for_long || whole.values().any(|all| *all) {
        State::Failing
    } else {
        State::Degraded
    };
    let partitions = count(failing.len() as u64, "partition");
    let reason = format!("{partitions} cannot be fetched: {}", list(failing));
    Verdict::new(NAME, state, reason)
}

/// Checks that consumers are members of their groups. A rebalance may only last for a limited time.
pub(super) fn group(look: &Look<'_>) -> Verdict {
    const NAME: &str = "group";
    let members = &look.sample.members;
    let out = members
        .iter()
        .filter_map(|(key, all)| Some((key, all.out?)));
    let out: Vec<_> = out
        .filter(|(_, age)| *age >= look.limits.group_after)
        .collect();
    if out.is_empty() {
        let member = |((_, group), all): (&(ClientId, String), &Members)| {
            let word = if all.out.is_none() {
                "member of"
            } else {
                "joining"
            };
            format!("{word} {group}")
        };
        let mut words: Vec<_> = members.iter().map(member).collect();
        words.dedup();
        return Verdict::new(NAME, State::Ok, list(words));
    }
    let dead = out
        .iter()
        .any(|((client, _), age)| *age >= look.limits.dead_after && look.is_reachable(*client));
    let words = out
        .into_iter()
        .map(|((_, group), age)| format!("no member of {group} for {}", span(age)));
    Verdict::wrong(NAME, list(words.collect()), dead)
}

/// Checks that commits succeed.
pub(super) fn commits(look: &Look<'_>) -> Verdict {
    const NAME: &str = "commits";
    let (mut words, mut worst, mut dead) = (Vec::new(), State::Ok, false);
    let clients = look.notes.clients.iter();
    let all = clients.flat_map(|(client, notes)| notes.commits.iter().map(move |of| (client, of)));
    for (client, (group, trouble)) in all {
        let age = look.age(Some(trouble.since));
        let long = age >= look.limits.commits_after;
        // A commit that is refused for good counts at once, because a retry cannot succeed.
        let state = match (trouble.passes, long) {
            (true, false) => continue,
            (true, true) | (false, false) => State::Degraded,
            (false, true) => State::Failing,
        };
        worst = worst.max(state);
        dead |= trouble.passes && age >= look.limits.dead_after && look.is_reachable(*client);
        words.push(format!(
            "commits of {group} have failed for {}, so records are delivered again after a restart: {}",
            span(age),
            trouble.reason
        ));
    }
    if words.is_empty() {
        return Verdict::new(NAME, State::Ok, "none fails");
    }
    let state = if dead { State::Failing } else { worst };
    Verdict {
        dead,
        ..Verdict::new(NAME, state, list(words))
    }
}

/// Returns the group for a reason text. A consumer of assigned partitions has none.
fn group_name(group: &str) -> String {
    if group.is_empty() {
        "assigned partitions".to_owned()
    } else {
        group.to_owned()
    }
}
