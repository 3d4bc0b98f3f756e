//! The figures of one look, and the memory of how long a figure can have had its value.

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

/// Gauges to read, with the client that they belong to.
pub(crate) type WatchedGauges = (ClientId, Arc<dyn Gauges>);

/// A partition that a group of one client reads.
pub(crate) type PlaceKey = (ClientId, String, TopicPartition);

/// The figures of one look.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    /// The address of each broker of each client's cluster.
    pub(crate) nodes: BTreeMap<(ClientId, NodeId), String>,
    /// The producer's memory whose callers have waited longest. If the waits are equal, the
    /// fullest. `None` without a producer.
    pub(crate) buffer: Option<Buffer>,
    /// The consumers of each group here.
    pub(crate) members: BTreeMap<(ClientId, String), Members>,
    /// The assigned partitions.
    pub(crate) partitions: BTreeMap<PlaceKey, Place>,
    /// Paused partitions, with the holder of the pause.
    pub(crate) pauses: HashMap<PlaceKey, String>,
    /// The gates by client, group and name, with the reason that one is closed. `None` for an open
    /// gate.
    pub(crate) gates: BTreeMap<(ClientId, String, String), Option<String>>,
    /// The panic texts of gauges that could not be read.
    pub(crate) panics: BTreeSet<String>,
}

/// A producer's memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffer {
    /// Bytes in use, and the limit in bytes.
    pub(crate) used: (u64, u64),
    /// The time that callers have waited for room without a break. `None` while none waits.
    pub(crate) waited: Option<Duration>,
}

/// The consumers of one group in this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Members {
    /// True if each has been a member at some time since it was started.
    pub(crate) joined: bool,
    /// The longest time that one of them has not been a member. `None` while all are.
    pub(crate) out: Option<Duration>,
}

/// The progress of one partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Records behind the end of the log.
    pub(crate) lag: u64,
    /// The offset below which all records are settled. `None` before the first.
    pub(crate) settled: Option<Offset>,
    /// The next step that the partition waits for, and the age that its consumer gives for it.
    /// `None` if it waits for nothing.
    pub(crate) waits: Option<(Waits, Duration)>,
    /// The error that keeps it from being fetched, and its age. `None` while fetches work.
    pub(crate) trouble: Option<(String, Duration)>,
}

/// The thing that a partition waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// The record at this offset, in the state that the text describes.
    Record(Offset, String),
    /// The record at this offset, which is held on purpose for this much longer.
    Held(Offset, Duration),
    /// The record at this offset, which was delivered but is in no lane's hands.
    Nobody(Offset),
    /// The next step of its records. None of them is delivered yet.
    Step(NextStep),
}

impl Sample {
    /// Reads all gauges.
    pub(crate) fn take(watched: &[WatchedGauges]) -> Self {
        let mut sample = Self::default();
        for (client, gauges) in watched {
            // Gauges may be a program's own code. A panic in it must not take the page down.
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
                // Compares the shares in use without a division.
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
            // Several routes may share a gate. One closed state is enough, and an open one must not
            // hide it.
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

/// Returns the wait of a record by the state of its handling.
fn waits(offset: Offset, state: RecordState<'_>) -> Waits {
    match state {
        RecordState::Queued { busy: 0 } => Waits::Nobody(offset),
        RecordState::Queued { .. } => Waits::Record(
            offset,
            "waits behind records that handlers work on".to_owned(),
        ),
        RecordState::NotReady { route } => {
            Waits::Record(offset, format!("waits for a layer of route {route}"))
        }
        RecordState::InHandler { route } => {
            Waits::Record(offset, format!("is with the handler of route {route}"))
        }
        RecordState::Retrying { route } => {
            Waits::Record(offset, format!("is retried by route {route}"))
        }
        RecordState::Held { left, .. } => Waits::Held(offset, left),
        _ => Waits::Record(offset, "is not settled".to_owned()),
    }
}

/// The values of things from look to look, with the time that each was last seen with another
/// value.
#[derive(Debug)]
pub(crate) struct Since<K, V>(HashMap<K, Was<V>>);

/// A thing as it was last seen.
#[derive(Clone, Copy, Debug)]
struct Was<V> {
    /// The value at the last look.
    value: V,
    /// The last look that saw another value. `None` if none did.
    otherwise: Option<Instant>,
    /// The last look that saw the thing.
    seen: Instant,
}

impl<K: Hash + Eq, V: PartialEq> Since<K, V> {
    /// Notes the present values, and forgets things that are gone.
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

    /// Returns the last look that saw another value. The present value cannot be older than that.
    /// Returns `None` if no look saw another one.
    pub(crate) fn bound(&self, key: &K) -> Option<Instant> {
        self.0.get(key)?.otherwise
    }
}

impl<K, V> Default for Since<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}
