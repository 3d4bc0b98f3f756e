//! Whether consumers get on: records settled, membership held, offsets committed.

use super::{Look, Verdict};
use crate::report::State;
use crate::words::{list, span};

/// Records are settled wherever there is a lag.
pub(super) fn progress(look: &Look<'_>) -> Verdict {
    const NAME: &str = "progress";
    let (mut stalled, mut held, mut dead) = (Vec::new(), Vec::new(), false);
    let mut lag = 0;
    for (key, place) in &look.sample.partitions {
        lag += place.lag;
        let age = look.age(look.memory.progress.of(key));
        if place.lag == 0 || age < look.settings.stalled_after {
            continue;
        }
        let (_, partition) = key;
        let what = format!(
            "{partition} lags {} records, none settled for {}",
            place.lag,
            span(age)
        );
        match look.sample.pauses.get(partition) {
            Some(by) => held.push(format!("{what}, held by {by}")),
            None => {
                dead |= age >= look.settings.dead_after;
                stalled.push(what);
            }
        }
    }
    if stalled.is_empty() && held.is_empty() {
        let count = look.sample.partitions.len();
        let reason = format!("{count} partitions, {lag} records behind");
        return Verdict::new(NAME, State::Ok, reason);
    }
    stalled.append(&mut held);
    let reason = list(stalled);
    Verdict::wrong(NAME, reason, dead)
}

/// Consumers are members of their groups; a rebalance does not take for ever.
pub(super) fn group(look: &Look<'_>) -> Verdict {
    const NAME: &str = "group";
    let out = look.sample.members.iter().filter(|(_, member)| !**member);
    let out = out.map(|(group, _)| (group, look.age(look.memory.members.of(group))));
    let out: Vec<_> = out
        .filter(|(_, age)| *age >= look.settings.group_after)
        .collect();
    if out.is_empty() {
        let groups = look.sample.members.len();
        return Verdict::new(NAME, State::Ok, format!("{groups} groups"));
    }
    let dead = out.iter().any(|(_, age)| *age >= look.settings.dead_after);
    let words = out
        .into_iter()
        .map(|(group, age)| format!("no member of {group} for {}", span(age)));
    let reason = list(words.collect());
    Verdict::wrong(NAME, reason, dead)
}

/// Commits are answered.
pub(super) fn commits(look: &Look<'_>) -> Verdict {
    const NAME: &str = "commits";
    let failing = look.notes.commits.iter();
    let failing = failing.map(|(group, trouble)| (group, look.age(Some(trouble.since)), trouble));
    let failing: Vec<_> = failing
        .filter(|(_, age, _)| *age >= look.settings.commits_after)
        .collect();
    if failing.is_empty() {
        return Verdict::new(NAME, State::Ok, "offsets are committed");
    }
    let dead = failing
        .iter()
        .any(|(_, age, _)| *age >= look.settings.dead_after);
    let words = failing.into_iter().map(|(group, age, trouble)| {
        format!(
            "those of {group} fail for {}: {}",
            span(age),
            trouble.reason
        )
    });
    let reason = list(words.collect());
    Verdict::wrong(NAME, reason, dead)
}
