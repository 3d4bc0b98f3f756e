//! Dedup: passes over records that were done before, by an identity that the producer gave them.
//!
//! A record counts as done only when its handler has answered that it is ([`Outcome::Ack`](milena_core::Outcome::Ack)): one that failed is
//! processed again. Two records of one identity at the same time are processed one after the other, so that the second is passed over
//! when the first went well. What was done is kept in a [`DedupStore`]: in memory with bounds ([`MemoryStore`]), which a restart empties,
//! or in a store of your own.
//!
//! While the store does not answer, the record waits, the gate is closed, and nothing is lost or repeated. When a record was done and only
//! marking it fails, the record is done all the same: then a repeat would not be noticed, which the log says.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Text};
//! use milena_middleware::dedup::MemoryStore;
//! use milena_middleware::{DedupLayer, RetryLayer, Stack};
//!
//! let done = MemoryStore::new(100_000).keep_for(Duration::from_secs(3_600));
//! let stack = Stack::new()
//!     .layer(DedupLayer::by_header("message-id", done))
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .handler(async |Text(order): Text| println!("billing {order} once"));
//! # let _ = stack;
//! ```

mod layer;
mod memory;
mod service;
mod store;

pub use layer::DedupLayer;
pub use memory::MemoryStore;
pub use service::Dedup;
pub use store::DedupStore;
