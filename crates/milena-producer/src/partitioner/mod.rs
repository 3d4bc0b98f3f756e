//! The choice of a record's partition. It is the choice by key of Java's clients, that of another
//! client, or the user's own.
//!
//! Several kinds of clients put a key in the same partition only if all of them use one scheme.
//! Each scheme here gives exactly the results of the client that it is named after, and can be
//! chosen by [name](by_name).

mod balance;
mod hash;
mod keyed;
mod names;

pub use balance::{LeastBytes, Manual, RoundRobin};
pub use hash::{crc32, fnv1a, murmur2};
pub use keyed::{Keyed, Murmur2};
pub use names::{NAMES, by_name, named};

/// The facts about a record that a partitioner sees.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Partitioning<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key. `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value. `None` is null.
    pub value: Option<&'a [u8]>,
    /// The number of partitions of the topic, at least 1.
    pub partitions: u32,
}

impl<'a> Partitioning<'a> {
    /// Returns a record as a partitioner sees it.
    #[must_use]
    pub fn new(
        topic: &'a str,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        partitions: u32,
    ) -> Self {
        Self {
            topic,
            key,
            value,
            partitions,
        }
    }
}

/// The answer of a partitioner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This partition. It must be below [`Partitioning::partitions`].
    Partition(u32),
    /// Any partition. The producer stays with one for a while, so that batches grow (KIP-794).
    Sticky,
    /// Any partition that has a leader, drawn at random for this record.
    Random,
    /// No partition. The record is refused for this reason.
    Refuse(&'static str),
}

/// Chooses the partition of a record that does not name one.
///
/// It is called once per record, on the caller's task, while no lock of the producer is held. The
/// record waits for it, so it should return at once.
///
/// A closure `Fn(&Partitioning<'_>) -> Choice` is a partitioner too.
pub trait Partitioner: Send + Sync {
    /// Chooses the partition of `record`.
    fn choose(&self, record: &Partitioning<'_>) -> Choice;
}

impl<F: Fn(&Partitioning<'_>) -> Choice + Send + Sync> Partitioner for F {
    fn choose(&self, record: &Partitioning<'_>) -> Choice {
        self(record)
    }
}

impl Partitioner for Box<dyn Partitioner> {
    fn choose(&self, record: &Partitioning<'_>) -> Choice {
        (**self).choose(record)
    }
}
