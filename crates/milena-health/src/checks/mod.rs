//! The checks: pure looks at what was noted and sampled.

mod brokers;
mod consumer;
mod handler;
mod producer;

use std::time::Duration;

use milena_core::Offset;
use tokio::time::Instant;

use crate::clients::ClientId;
use crate::notes::Notes;
use crate::report::State;
use crate::sample::{PlaceKey, Sample, Since};
use crate::settings::HealthBuilder;

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) reason: String,
    /// Whether a restart would help.
    pub(crate) dead: bool,
}

impl Verdict {
    pub(crate) fn new(name: &str, state: State, reason: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            reason: reason.into(),
            dead: false,
        }
    }

    /// Something is wrong; so much that a restart would help, where it is dead.
    fn wrong(name: &str, reason: String, dead: bool) -> Self {
        let state = if dead {
            State::Failing
        } else {
            State::Degraded
        };
        Self {
            dead,
            ..Self::new(name, state, reason)
        }
    }
}

/// All that there is to look at.
pub(crate) struct Look<'a> {
    pub(crate) now: Instant,
    /// Clients that take part and have not closed.
    pub(crate) open: &'a [ClientId],
    pub(crate) notes: &'a Notes,
    pub(crate) sample: &'a Sample,
    pub(crate) memory: &'a Memory,
    pub(crate) settings: &'a HealthBuilder,
}

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    roll: brokers::Roll,
    progress: Since<PlaceKey, Option<Offset>>,
}

impl Memory {
    pub(crate) fn keep(&mut self, now: Instant, sample: &Sample) {
        self.roll.keep(now, &sample.nodes);
        let places = sample.partitions.iter();
        let places = places.map(|(key, place)| (key.clone(), place.settled));
        self.progress.keep(now, places);
    }
}

impl Look<'_> {
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let mut all = vec![brokers::check(self)];
        all.extend(consumer::consumers(self));
        if self.has_consumer() {
            all.push(consumer::fetches(self));
            all.push(consumer::progress(self));
        }
        if !self.sample.members.is_empty() {
            all.push(consumer::group(self));
            all.push(consumer::commits(self));
        }
        all.extend(handler::lanes(self));
        all.extend(handler::dead_letters(self));
        all.extend(handler::breakers(self));
        all.extend(producer::buffer(self));
        all.extend(handler::panics(self));
        all
    }

    /// Whether a broker has answered each client that is there, or where there is none, any client.
    pub(crate) fn has_contact(&self) -> bool {
        let each = |client: &ClientId| {
            let notes = self.notes.clients.get(client);
            notes.is_some_and(|notes| notes.contact)
        };
        self.notes.contact && self.open.iter().all(each)
    }

    fn has_consumer(&self) -> bool {
        !self.sample.members.is_empty() || !self.sample.partitions.is_empty()
    }

    fn is_reachable(&self, client: ClientId) -> bool {
        brokers::is_reachable(self, client)
    }

    fn age(&self, since: Option<Instant>) -> Duration {
        since.map_or(Duration::ZERO, |since| {
            self.now.saturating_duration_since(since)
        })
    }
}
