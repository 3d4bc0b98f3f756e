//! Whether brokers answer, and how fast.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

use super::{Look, Verdict};
use crate::report::State;
use crate::words::{list, span};

/// When each broker was last part of the cluster. A broker that stops leaves it, and is missed for a while.
#[derive(Debug, Default)]
pub(super) struct Roll(BTreeMap<NodeId, Instant>);

impl Roll {
    pub(super) fn keep(&mut self, now: Instant, present: &BTreeSet<NodeId>) {
        if present.is_empty() {
            // Nobody looks at a cluster any more: nothing is missed.
            self.0.clear();
        }
        self.0.extend(present.iter().map(|node| (*node, now)));
        self.0
            .retain(|_, seen| now.saturating_duration_since(*seen) < MISSED_FOR);
    }
}

pub(super) fn check(look: &Look<'_>) -> Verdict {
    const NAME: &str = "brokers";
    if !look.notes.contact {
        return Verdict::new(NAME, State::Failing, "no broker has answered yet");
    }
    let (roll, present) = (&look.memory.roll.0, &look.sample.nodes);
    let mut down = Vec::new();
    let mut slowest = None;
    // Without figures of a cluster, whoever was heard of.
    let mut all = roll.clone();
    if all.is_empty() {
        all.extend(look.notes.nodes.keys().map(|node| (*node, look.now)));
    }
    for (id, seen) in &all {
        let node = look.notes.nodes.get(id);
        if let Some(trouble) = node.and_then(|node| node.trouble.as_ref()) {
            let age = span(look.age(Some(trouble.since)));
            down.push(format!("broker {id} for {age}: {}", trouble.reason));
        } else if !present.is_empty() && !present.contains(id) {
            let age = span(look.age(Some(*seen)));
            down.push(format!("broker {id} left the cluster {age} ago"));
        } else {
            slowest = slowest.max(node.and_then(|node| node.latency));
        }
    }
    let count = all.len();
    if down.is_empty() {
        let slowest = slowest.map_or_else(String::new, |time| {
            format!(", the slowest in {}", span(time))
        });
        let reason = format!("{count} of {count} answer{slowest}");
        return Verdict::new(NAME, State::Ok, reason);
    }
    let state = if down.len() >= count {
        State::Failing
    } else {
        State::Degraded
    };
    let reason = format!("{} of {count} do not answer: {}", down.len(), list(down));
    Verdict::new(NAME, state, reason)
}

/// How long a broker that left is missed; one that was taken away for good is forgotten then.
const MISSED_FOR: Duration = Duration::from_secs(900);
