//! Concurrency. Limits how many attempts run at once, independent of the number of partitions and
//! lanes.
//!
//! All lanes and routes whose layer is a clone share the limit. A lane without a permit waits,
//! which is neither an attempt nor a failure. Lanes get permits in the order in which they ask.
//! They give them back when the attempt ends, with any result.
//!
//! An [adaptive](ConcurrencyLayer::adaptive) limit finds its own size. While all permits are in use
//! and attempts succeed, it grows by about one per round of attempts. An overloaded attempt cuts it
//! to 70 %. An attempt is overloaded if it was throttled, timed out, failed because of its
//! dependency, or took longer than [`slow_after`](ConcurrencyLayer::slow_after). Attempts that ran
//! at the same time cut it at most once together.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Text};
//! use milena_middleware::{ConcurrencyLayer, RetryLayer, Stack, TimeoutLayer};
//!
//! let warehouse = ConcurrencyLayer::adaptive(1, 64).slow_after(Duration::from_millis(200));
//! let stack = Stack::new()
//!     // Outside the limit, so a record that waits for its next attempt keeps no permit.
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .layer(warehouse.clone())
//!     .layer(TimeoutLayer::new(Duration::from_secs(1)))
//!     .handler(async |Text(order): Text| println!("packing {order}"));
//! assert_eq!(warehouse.limit(), 4);
//! # let _ = stack;
//! ```

mod layer;
mod limit;
mod permits;
mod service;

pub use layer::ConcurrencyLayer;
pub use service::{Concurrency, ConcurrencyFuture};
