//! The way out: records encoded into open batches, sent in order, each ending in exactly one outcome.

mod answer;
mod batch;
mod builder;
mod cluster;
mod delivery;
mod drain;
mod ending;
mod enqueue;
mod link;
mod memory;
mod network;
mod pace;
mod partition;
mod partitioner;
mod producer;
mod queue;
mod ready;
mod seal;
mod sender;
#[cfg(test)]
mod sender_tests;
mod sequence;
mod service;
mod settings;
mod sticky;
#[cfg(test)]
mod stub;
mod topic;
mod verdict;

pub use builder::ProducerBuilder;
pub use delivery::Delivery;
pub use enqueue::TryEnqueueError;
pub use milena_protocol::compression::Compression;
pub use partitioner::{Choice, Murmur2, Partitioner, Partitioning, murmur2};
pub use producer::{Producer, Topic};
pub use settings::Acks;
