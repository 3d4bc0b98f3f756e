//! What is seen when someone looks, and since when it is so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use milena_core::{Gauge, Gauges, NodeId, Offset, TopicPartition};
use tokio::time::Instant;

/// The figures of one look.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) nodes: BTreeSet<NodeId>,
    /// Bytes in use and bytes there are, of the fullest producer.
    pub(crate) buffer: Option<(u64, u64)>,
    /// By group: whether all its consumers here are members.
    pub(crate) members: BTreeMap<String, bool>,
    pub(crate) partitions: BTreeMap<(String, TopicPartition), Place>,
    /// Who holds a partition paused.
    pub(crate) pauses: HashMap<TopicPartition, String>,
    /// Closed gates, with the reason.
    pub(crate) closed: BTreeMap<String, String>,
    pub(crate) gates: BTreeSet<String>,
}

/// How far a partition is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    pub(crate) lag: u64,
    pub(crate) settled: Option<Offset>,
}

impl Sample {
    pub(crate) fn take(watched: &[Arc<dyn Gauges>]) -> Self {
        let mut sample = Self::default();
        for gauges in watched {
            gauges.read(&mut |gauge| sample.note(&gauge));
        }
        sample
    }

    fn note(&mut self, gauge: &Gauge<'_>) {
        match *gauge {
            Gauge::Pool { node, .. } => {
                self.nodes.insert(node);
            }
            Gauge::BufferUsed {
                buffer: "producer",
                used,
                limit,
            } => {
                let fuller = |(other, of): (u64, u64)| used * of > other * limit;
                if self.buffer.is_none_or(fuller) {
                    self.buffer = Some((used, limit));
                }
            }
            Gauge::Member { group, generation } => {
                let all = self.members.entry(group.to_owned()).or_insert(true);
                *all &= generation.is_some();
            }
            Gauge::Lag {
                group,
                partition,
                records,
            } => self.place(group, partition).lag = records,
            Gauge::Settled {
                group,
                partition,
                offset,
            } => self.place(group, partition).settled = Some(offset),
            Gauge::Paused { partition, by, .. } => {
                self.pauses.insert(partition.clone(), by.to_owned());
            }
            Gauge::Gate { name, closed, .. } => {
                self.gates.insert(name.to_owned());
                if let Some(reason) = closed {
                    self.closed.insert(name.to_owned(), reason.to_owned());
                }
            }
            _ => {}
        }
    }

    fn place(&mut self, group: &str, partition: &TopicPartition) -> &mut Place {
        let key = (group.to_owned(), partition.clone());
        self.partitions.entry(key).or_default()
    }
}

/// Since when things are as they are, from look to look.
#[derive(Debug)]
pub(crate) struct Since<K, V>(HashMap<K, (V, Instant)>);

impl<K: Hash + Eq, V: PartialEq> Since<K, V> {
    /// Notes what is, and forgets what is no more.
    pub(crate) fn keep(&mut self, now: Instant, all: impl IntoIterator<Item = (K, V)>) {
        let mut old = std::mem::take(&mut self.0);
        for (key, value) in all {
            let since = match old.remove(&key) {
                Some((same, since)) if same == value => since,
                _ => now,
            };
            self.0.insert(key, (value, since));
        }
    }

    pub(crate) fn of(&self, key: &K) -> Option<Instant> {
        self.0.get(key).map(|(_, since)| *since)
    }
}

impl<K, V> Default for Since<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}
