//! Which partition a record goes to: the choice by key that Java's clients make, those of other clients, or the user's own.
//!
//! A fleet of several clients puts a key in one place only if all use one scheme. Each scheme here is bit-exact with the client that it
//! is named after, and can be chosen by [name](by_name).

mod balance;
mod hash;
mod keyed;
mod names;

pub use balance::{LeastBytes, Manual, RoundRobin};
pub use hash::{crc32, fnv1a, murmur2};
pub use keyed::{Keyed, Murmur2};
pub use names::{NAMES, by_name};

/// What a partitioner sees of a record.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Partitioning<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// How many partitions the topic has; at least 1.
    pub partitions: u32,
}

impl<'a> Partitioning<'a> {
    /// A record as a partitioner sees it.
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

/// What a partitioner answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This partition; it must be below [`Partitioning::partitions`].
    Partition(u32),
    /// Any: the producer stays with one partition for a while, so that batches grow (KIP-794).
    Sticky,
    /// Any, drawn anew for this record among those that have a leader.
    Random,
    /// None: the record is refused, for this reason.
    Refuse(&'static str),
}

/// Chooses the partition of a record that does not name one. Called on the caller's task, once per record, and where many are enqueued
/// together while a lock of the producer is held: it returns at once and does not use the producer.
///
/// A closure `Fn(&Partitioning<'_>) -> Choice` is a partitioner too.
pub trait Partitioner: Send + Sync {
    /// Chooses.
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
