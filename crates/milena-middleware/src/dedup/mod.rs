//! Dedup. Passes over records that were done before, by an identity that the producer gave them.
//!
//! A record is done once its handler has answered [`Outcome::Ack`](milena_core::Outcome::Ack). A
//! record that failed is processed again. Two records with one identity are never processed at the
//! same time. The second waits for the first and is passed over if the first succeeded. The
//! identities are kept in a [`DedupStore`]. [`MemoryStore`] keeps them in memory within bounds and
//! is empty after a restart. You can also implement a store of your own.
//!
//! While the store does not answer, the record waits and the gate is closed, so no record is lost
//! or repeated. If a record was done and only its mark in the store failed, the record still counts
//! as done. A repeat of it would then not be noticed, and a warning in the log says so.
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
mod outage;
mod service;
mod store;

pub use layer::DedupLayer;
pub use memory::MemoryStore;
pub use service::Dedup;
pub use store::DedupStore;
