//! The checks. Each is a pure function of the events and figures seen so far.

mod brokers;
mod consumer;
mod handler;
mod producer;

use std::time::Duration;

use milena_core::Offset;
use tokio::time::Instant;

use crate::clients::ClientId;
use crate::limits::CheckLimits;
use crate::notes::Notes;
use crate::report::State;
use crate::sample::{PlaceKey, Sample, Since};

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The name of the check.
    pub(crate) name: String,
    /// The state of the check.
    pub(crate) state: State,
    /// The reason in words, also if the check is well.
    pub(crate) reason: String,
    /// True if a restart would help.
    pub(crate) dead: bool,
}

impl Verdict {
    /// Makes a verdict for which a restart does not help.
    pub(crate) fn new(name: &str, state: State, reason: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            reason: reason.into(),
            dead: false,
        }
    }

    /// Makes a verdict on something that is wrong. It is failing if a restart would help (`dead`),
    /// and degraded otherwise.
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

/// The input of all checks in one look.
pub(crate) struct Look<'a> {
    /// The time of the look.
    pub(crate) now: Instant,
    /// Clients that have joined and not closed.
    pub(crate) open: &'a [ClientId],
    /// The state left by events.
    pub(crate) notes: &'a Notes,
    /// The figures of this look.
    pub(crate) sample: &'a Sample,
    /// The state kept from earlier looks.
    pub(crate) memory: &'a Memory,
    /// The limits of the checks.
    pub(crate) limits: &'a CheckLimits,
}

/// The state that is kept from one look to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The brokers that were part of a cluster lately.
    roll: brokers::Roll,
    /// The time of each partition's last progress, by its settled offset.
    progress: Since<PlaceKey, Option<Offset>>,
}

impl Memory {
    /// Takes in a new sample. Called once per look, before the checks.
    pub(crate) fn keep(&mut self, now: Instant, sample: &Sample) {
        self.roll.keep(now, &sample.nodes);
        let places = sample.partitions.iter();
        let places = places.map(|(key, place)| (key.clone(), place.settled));
        self.progress.keep(now, places);
    }
}

impl Look<'_> {
    /// Runs all checks that have something to check.
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

    /// Returns true if a broker has answered each open client. Without open clients, an answer to
    /// any client is enough.
    pub(crate) fn has_contact(&self) -> bool {
        let each = |client: &ClientId| {
            let notes = self.notes.clients.get(client);
            notes.is_some_and(|notes| notes.contact)
        };
        self.notes.contact && self.open.iter().all(each)
    }

    /// Returns true if a consumer runs here.
    fn has_consumer(&self) -> bool {
        !self.sample.members.is_empty() || !self.sample.partitions.is_empty()
    }

    fn is_reachable(&self, client: ClientId) -> bool {
        brokers::is_reachable(self, client)
    }

    /// Returns the time since an instant, or zero for `None`.
    fn age(&self, since: Option<Instant>) -> Duration {
        since.map_or(Duration::ZERO, |since| {
            self.now.saturating_duration_since(since)
        })
    }
}
