//! The producer. Records are encoded into open batches, sent in order, and each ends in exactly one
//! outcome.
//!
//! A caller encodes its record straight into the open batch of its partition. One task, the sender,
//! takes batches by leader, gives them their sequences, and sends them. A [`Delivery`] resolves to
//! the outcome of one record.
//!
//! ```
//! use milena_broker::Broker;
//! use milena_core::ProducerRecord;
//! use milena_pool::Cluster;
//! use milena_producer::Producer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> milena_core::Result<()> {
//! let broker = Broker::builder().topic("orders", 3).start().await?;
//! let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer()).connect().await?;
//! let producer = Producer::builder(cluster).build()?;
//!
//! // One record, and where the broker put it.
//! let sent = producer.send(ProducerRecord::new("orders").key("order-7").value("{}")).await?;
//! assert!(sent.offset.is_some());
//!
//! // Many: enqueue in order, await later.
//! let orders = producer.topic("orders");
//! let mut deliveries = Vec::new();
//! for number in 0..1000u32 {
//!     deliveries.push(orders.enqueue(None, Some(&number.to_be_bytes())).await?);
//! }
//! for delivery in deliveries {
//!     delivery.await?;
//! }
//! producer.close(std::time::Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod callbacks;
mod clock;
mod closed;
mod cluster;
mod deliveries;
mod delivery;
mod enqueue;
mod flow;
mod network;
pub mod partitioner;
mod producer;
mod readiness;
mod rules;
mod send;
mod settings;
mod sink;
#[cfg(test)]
mod tests;
mod user;

pub use builder::ProducerBuilder;
pub use deliveries::Deliveries;
pub use delivery::Delivery;
pub use enqueue::key_value::{KeyValue, Part};
pub use enqueue::refusal::TryEnqueueError;
pub use flow::{Batching, TopicSettings};
pub use milena_core::{Acks, Compression};
pub use partitioner::{Choice, Partitioner, Partitioning};
pub use producer::{Producer, Topic};
pub use sink::RecordSink;
