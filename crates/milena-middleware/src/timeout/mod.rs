//! Timeout: ends an attempt that takes too long, and lets no two attempts overlap.
//!
//! At the deadline the attempt's [token](milena_core::CancelToken) is cancelled, so that a handler that watches it can end by itself;
//! after a grace its future is dropped. The error has the class [`Timeout`](milena_core::ErrorClass::Timeout), which is retried and
//! counted by breakers.
//!
//! A future that is dropped stops at its next `await`: work that must not be cut there goes into [shielded](TimeoutLayer::shielded)
//! mode, where the handler runs in a task of its own and the answer waits until that task has really ended. A task that does not end
//! within a cap stops the consumer: going on would let two attempts overlap.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::CancelToken;
//! use milena_middleware::{Stack, TimeoutLayer};
//!
//! let stack = Stack::new().layer(TimeoutLayer::new(Duration::from_secs(5))).handler(async |cancel: CancelToken| {
//!     tokio::select! {
//!         () = cancel.cancelled() => println!("out of time: tidying up"),
//!         () = async { /* the work */ } => {}
//!     }
//! });
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::TimeoutLayer;
pub use service::{Timeout, TimeoutFuture};
