//! Concurrency: bounds how many attempts run at once, whatever the number of partitions and lanes.
//!
//! The limit is shared by all lanes and routes whose layer is a clone. A lane that gets no permit waits; that is neither an attempt nor a
//! failure. Lanes get permits in the order in which they ask, and give them back when the attempt has ended, however it did.
//!
//! An [adaptive](ConcurrencyLayer::adaptive) limit finds its size by itself: while it is used up and attempts go well it grows by about one
//! per round of attempts; an attempt that was throttled, timed out or failed against its dependency, or that took longer than
//! [`slow_after`](ConcurrencyLayer::slow_after), cuts it to 70 %, at most once for all attempts that were under way together.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Text};
//! use milena_middleware::{ConcurrencyLayer, RetryLayer, Stack, TimeoutLayer};
//!
//! let warehouse = ConcurrencyLayer::adaptive(1, 64).slow_after(Duration::from_millis(200));
//! let stack = Stack::new()
//!     .layer(RetryLayer::new(Backoff::default())) // outside: no permit is kept while a record waits for its next attempt
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
