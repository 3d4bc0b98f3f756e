//! What is seen when someone looks, and how long it can have been so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Gauge, Gauges, NextStep, NodeId, Offset, RecordState, TopicPartition, panic_text,
};
use tokio::time::Instant;

use crate::clients::ClientId;

/// Figures that are looked at, and whose they are.
pub(crate) type Watched = (ClientId, Arc<dyn Gauges>);

/// A partition as a group of one client reads it.
pub(crate) type PlaceKey = (ClientId, String, TopicPartition);

/// The figures of one look.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The address of each broker.
    pub(crate) nodes: BTreeMap<(ClientId, NodeId), String>,
    /// The producer whose callers have waited longest, or the fullest.
    pub(crate) buffer: Option<Buffer>,
    /// The consumers here, by group.
    pub(crate) members: BTreeMap<(ClientId, String), Members>,
    pub(crate) partitions: BTreeMap<PlaceKey, Place>,
    /// Who holds a partition paused.
    pub(crate) pauses: HashMap<PlaceKey, String>,
    /// Each gate, with the reason for which it is closed.
    pub(crate) gates: BTreeMap<(ClientId, String, String), Option<String>>,
    /// What could not be read, since the code that shows it panicked.
    pub(crate) panics: BTreeSet<String>,
}

/// A producer's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    /// Bytes in use, and bytes there are.
    pub(crate) used: (u64, u64),
    /// How long callers have waited for room without a break.
    pub(crate) waited: Option<Duration>,
}

/// The consumers of one group here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members {
    /// Whether each was a member at some time since it was started.
    pub(crate) joined: bool,
    /// How long the one that has been out the longest is no member; `None` where all are.
    pub(crate) out: Option<Duration>,
}

/// How far a partition is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) lag: u64,
    pub(crate) settled: Option<Offset>,
    /// What it waits for, and for how long by its consumer's word.
    pub(crate) waits: Option<(Waits, Duration)>,
    /// Why it cannot be fetched, and for how long.
    pub(crate) trouble: Option<(String, Duration)>,
}

/// What a partition waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// The record at this offset, for what is said in words.
    Record(Offset, String),
    /// As before, for its time, which is so far away.
    Held(Offset, Duration),
    /// The record at this offset is delivered, and nobody works on it.
    Nobody(Offset),
    /// Nothing of it is delivered.
    Step(NextStep),
}

impl Sample {
    pub(crate) fn take(watched: &[Watched]) -> Self {
        let mut sample = Self::default();
        for (client, gauges) in watched {
            // Gauges may be a program's own: their panic must not take the page with it.
            let read = catch_unwind(AssertUnwindSafe(|| {
                gauges.read(&mut |gauge| sample.note(*client, &gauge));
            }));
            if let Err(panic) = read {
                sample.panics.insert(panic_text(&*panic));
            }
        }
        sample
    }

    fn note(&mut self, client: ClientId, gauge: &Gauge<'_>) {
        match *gauge {
            Gauge::Pool { node, address, .. } => {
                self.nodes.insert((client, node), address.to_string());
            }
            Gauge::BufferUsed {
                buffer: "producer",
                used,
                limit,
                waited,
            } => {
                let worse = |other: Buffer| {
                    let (in_use, of) = other.used;
                    let fuller =
                        u128::from(used) * u128::from(of) > u128::from(in_use) * u128::from(limit);
                    waited > other.waited || (waited == other.waited && fuller)
                };
                if self.buffer.is_none_or(worse) {
                    let used = (used, limit);
                    self.buffer = Some(Buffer { used, waited });
                }
            }
            Gauge::Member {
                group,
                generation,
                joined,
                age,
            } => {
                let all = self.members.entry((client, group.to_owned()));
                let all = all.or_insert(Members {
                    joined: true,
                    out: None,
                });
                all.joined &= joined;
                if generation.is_none() {
                    all.out = all.out.max(Some(age));
                }
            }
            Gauge::Lag {
                group,
                partition,
                records,
            } => self.place(client, group, partition).lag = records,
            Gauge::Settled {
                group,
                partition,
                offset,
            } => self.place(client, group, partition).settled = Some(offset),
            Gauge::OldestUnsettled {
                group,
                partition,
                offset,
                age,
                state,
            } => {
                let waits = waits(offset, state);
                self.place(client, group, partition).waits = Some((waits, age));
            }
            Gauge::Undelivered {
                group,
                partition,
                age,
                next,
            } => {
                self.place(client, group, partition).waits = Some((Waits::Step(next), age));
            }
            Gauge::FetchTrouble {
                group,
                partition,
                age,
                error,
            } => {
                let place = self.place(client, group, partition);
                place.trouble = Some((error.to_string(), age));
            }
            Gauge::Paused {
                group,
                partition,
                by,
            } => {
                let key = (client, group.to_owned(), partition.clone());
                self.pauses.insert(key, by.to_owned());
            }
            Gauge::Gate {
                group,
                name,
                closed,
            } => {
                let key = (client, group.to_owned(), name.to_owned());
                let known = self.gates.entry(key).or_default();
                if let Some(reason) = closed {
                    *known = Some(reason.to_owned());
                }
            }
            _ => {}
        }
    }

    fn place(&mut self, client: ClientId, group: &str, partition: &TopicPartition) -> &mut Place {
        let key = (client, group.to_owned(), partition.clone());
        self.partitions.entry(key).or_default()
    }
}

fn waits(offset: Offset, state: RecordState<'_>) -> Waits {
    match state {
        RecordState::Queued { busy: 0 } => Waits::Nobody(offset),
        RecordState::Queued { .. } => Waits::Record(
            offset,
            "waits behind others that handlers work on".to_owned(),
        ),
        RecordState::NotReady { route } => {
            Waits::Record(offset, format!("waits for a layer of route {route}"))
        }
        RecordState::InHandler { route } => {
            Waits::Record(offset, format!("is with the handler of route {route}"))
        }
        RecordState::Retrying { route } => {
            Waits::Record(offset, format!("is tried again by route {route}"))
        }
        RecordState::Held { left, .. } => Waits::Held(offset, left),
        _ => Waits::Record(offset, "is not settled".to_owned()),
    }
}

/// When things were last seen otherwise than they are, from look to look.
#[derive(Debug)]
pub(crate) struct Since<K, V>(HashMap<K, Was<V>>);

/// A thing that was seen.
#[derive(Clone, Copy, Debug)]
struct Was<V> {
    value: V,
    /// The last look that saw it otherwise; `None` where none has.
    otherwise: Option<Instant>,
    /// The last look.
    seen: Instant,
}

impl<K: Hash + Eq, V: PartialEq> Since<K, V> {
    /// Notes what is, and forgets what is no more.
    pub(crate) fn keep(&mut self, now: Instant, all: impl IntoIterator<Item = (K, V)>) {
        let mut old = std::mem::take(&mut self.0);
        for (key, value) in all {
            let was = match old.remove(&key) {
                Some(same) if same.value == value => Was { seen: now, ..same },
                Some(other) => Was {
                    value,
                    otherwise: Some(other.seen),
                    seen: now,
                },
                None => Was {
                    value,
                    otherwise: None,
                    seen: now,
                },
            };
            self.0.insert(key, was);
        }
    }

    /// The last look that saw it otherwise: it cannot have been so for longer. `None` where no look did.
    pub(crate) fn bound(&self, key: &K) -> Option<Instant> {
        self.0.get(key)?.otherwise
    }
}

impl<K, V> Default for Since<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}
