//! Whether brokers answer, and how fast.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

use super::{Look, Verdict};
use crate::clients::ClientId;
use crate::report::State;
use crate::words::{list, span};

/// When each broker was last part of its client's cluster, and where. A broker that stops leaves it, and is missed for a while.
#[derive(Debug, Default)]
pub(super) struct Roll(BTreeMap<(ClientId, NodeId), (String, Instant)>);

impl Roll {
    pub(super) fn keep(&mut self, now: Instant, present: &BTreeMap<(ClientId, NodeId), String>) {
        let looked_at: BTreeSet<_> = present.keys().map(|(client, _)| *client).collect();
        // Where nobody looks at a cluster any more, nothing is missed.
        self.0.retain(|(client, _), (_, seen)| {
            looked_at.contains(client) && now.saturating_duration_since(*seen) < MISSED_FOR
        });
        let seen = present.iter();
        self.0
            .extend(seen.map(|(key, address)| (*key, (address.clone(), now))));
    }
}

/// A broker of a client's cluster, as it was found.
struct Found {
    /// What stands for it in all clients of its cluster.
    name: (NodeId, String),
    /// Why it does not answer.
    down: Option<String>,
    latency: Option<Duration>,
}

/// The brokers of one client.
fn of_client(look: &Look<'_>, client: ClientId) -> Vec<Found> {
    let notes = look.notes.clients.get(&client);
    let roll = look.memory.roll.0.iter();
    let known = roll.filter(|((of, _), _)| *of == client);
    let mut all: BTreeMap<NodeId, (String, Option<Instant>)> = known
        .map(|((_, node), (address, seen))| (*node, (address.clone(), Some(*seen))))
        .collect();
    if all.is_empty() {
        // Without figures of a cluster, whoever was heard of.
        let heard = notes.into_iter().flat_map(|notes| notes.nodes.keys());
        all.extend(heard.map(|node| (*node, (String::new(), None))));
    }
    let found = all.into_iter().map(|(id, (address, seen))| {
        let node = notes.and_then(|notes| notes.nodes.get(&id));
        let trouble = node.and_then(|node| node.trouble.as_ref());
        let left = seen.filter(|_| !look.sample.nodes.contains_key(&(client, id)));
        let down = match (trouble, left) {
            (Some(trouble), _) => {
                let age = span(look.age(Some(trouble.since)));
                Some(format!("broker {id} for {age}: {}", trouble.reason))
            }
            (None, Some(seen)) => {
                let age = span(look.age(Some(seen)));
                Some(format!("broker {id} left the cluster {age} ago"))
            }
            (None, None) => None,
        };
        Found {
            name: (id, address),
            down,
            latency: node.and_then(|node| node.latency),
        }
    });
    found.collect()
}

/// Whether some broker of the client's cluster answers, so that what does not work there is not for its sake.
pub(super) fn is_reachable(look: &Look<'_>, client: ClientId) -> bool {
    let contact = look.notes.clients.get(&client);
    // What is known of no client's part has no brokers of its own.
    if contact.is_none()
        || client == ClientId::default() && contact.is_some_and(|notes| notes.nodes.is_empty())
    {
        return true;
    }
    let all = of_client(look, client);
    contact.is_some_and(|notes| notes.contact)
        && (all.is_empty() || all.iter().any(|one| one.down.is_none()))
}

pub(super) fn check(look: &Look<'_>) -> Verdict {
    const NAME: &str = "brokers";
    if !look.has_contact() {
        return Verdict::new(NAME, State::Failing, "no broker has answered yet");
    }
    let mut clients: BTreeSet<_> = look
        .memory
        .roll
        .0
        .keys()
        .map(|(client, _)| *client)
        .collect();
    clients.extend(look.notes.clients.keys());
    let (mut all, mut down) = (BTreeSet::new(), BTreeMap::new());
    let (mut slowest, mut cut_off) = (None, false);
    for client in clients {
        let found = of_client(look, client);
        cut_off |= !found.is_empty() && found.iter().all(|one| one.down.is_some());
        for one in found {
            match one.down {
                Some(reason) => drop(down.insert(one.name.clone(), reason)),
                None => slowest = slowest.max(one.latency),
            }
            all.insert(one.name);
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
    // One of several clusters that is away is enough for what belongs to it not to work.
    let state = if cut_off {
        State::Failing
    } else {
        State::Degraded
    };
    let down: Vec<_> = down.into_values().collect();
    let reason = format!("{} of {count} do not answer: {}", down.len(), list(down));
    Verdict::new(NAME, state, reason)
}

/// How long a broker that left is missed; one that was taken away for good is forgotten then.
const MISSED_FOR: Duration = Duration::from_secs(900);
