//! The check that brokers answer, and how fast.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_core::NodeId;
use tokio::time::Instant;

use super::{Look, Verdict};
use crate::clients::ClientId;
use crate::report::State;
use crate::words::{list, span};

/// The brokers of each client's cluster, with their address and the time they were last part of it.
/// A broker that stops leaves the cluster, and stays listed here for [`MISSED_FOR`].
#[derive(Debug, Default)]
pub(super) struct Roll(BTreeMap<(ClientId, NodeId), (String, Instant)>);

impl Roll {
    /// Notes the brokers of a sample, and forgets those that left long ago.
    pub(super) fn keep(&mut self, now: Instant, present: &BTreeMap<(ClientId, NodeId), String>) {
        let looked_at: BTreeSet<_> = present.keys().map(|(client, _)| *client).collect();
        // A client without figures is gone. Its brokers are not missed.
        self.0.retain(|(client, _), (_, seen)| {
            looked_at.contains(client) && now.saturating_duration_since(*seen) < MISSED_FOR
        });
        let seen = present.iter();
        self.0
            .extend(seen.map(|(key, address)| (*key, (address.clone(), now))));
    }
}

/// A broker of a client's cluster, with its present state.
struct Found {
    /// The id and address, which are the same in all clients of one cluster. The address is empty
    /// without figures of the cluster.
    name: (NodeId, String),
    /// The reason that it does not answer. `None` if it answers.
    down: Option<String>,
    /// The time of its last answer to a short request. `None` if there was none.
    latency: Option<Duration>,
}

/// Returns the brokers of one client.
fn of_client(look: &Look<'_>, client: ClientId) -> Vec<Found> {
    let notes = look.notes.clients.get(&client);
    let roll = look.memory.roll.0.iter();
    let known = roll.filter(|((of, _), _)| *of == client);
    let mut all: BTreeMap<NodeId, (String, Option<Instant>)> = known
        .map(|((_, node), (address, seen))| (*node, (address.clone(), Some(*seen))))
        .collect();
    if all.is_empty() {
        // Without figures of the cluster, take the brokers that events named.
        let heard = notes.into_iter().flat_map(|notes| notes.nodes.keys());
        all.extend(heard.map(|node| (*node, (String::new(), None))));
    }
    let found = all.into_iter().map(|(id, (address, seen))| {
        let node = notes.and_then(|notes| notes.nodes.get(&id));
        let trouble = node.and_then(|node| node.trouble.as_ref());
        // A broker that was seen before and is not in this sample has left the cluster.
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

/// Returns true if some broker of the client's cluster answers. If none does, the cluster is the
/// cause of other failures, and a restart would not help.
pub(super) fn is_reachable(look: &Look<'_>, client: ClientId) -> bool {
    let contact = look.notes.clients.get(&client);
    // Events and figures that belong to no joined client have no brokers of their own.
    if contact.is_none()
        || client == ClientId::default() && contact.is_some_and(|notes| notes.nodes.is_empty())
    {
        return true;
    }
    let all = of_client(look, client);
    contact.is_some_and(|notes| notes.contact)
        && (all.is_empty() || all.iter().any(|one| one.down.is_none()))
}

/// Checks all brokers of all clients.
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
    // One unreachable cluster of several is enough to fail, because all work of its clients stands
    // still.
    let state = if cut_off {
        State::Failing
    } else {
        State::Degraded
    };
    let down: Vec<_> = down.into_values().collect();
    let reason = format!("{} of {count} do not answer: {}", down.len(), list(down));
    Verdict::new(NAME, state, reason)
}

/// The time that a broker that left is reported as missing. A broker that was removed on purpose is
/// forgotten after it.
const MISSED_FOR: Duration = Duration::from_secs(900);
