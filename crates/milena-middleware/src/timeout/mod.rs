//! Timeout. Ends an attempt that takes too long, and keeps two attempts from overlapping.
//!
//! At the deadline the attempt's [token](milena_core::CancelToken) is cancelled, so a handler that
//! watches it can end by itself. After a grace time its future is dropped. The error has the class
//! [`Timeout`](milena_core::ErrorClass::Timeout), which is retried and counted by breakers.
//!
//! A future that is dropped stops at its current `await`. Use [shielded](TimeoutLayer::shielded)
//! mode for work that must not stop there. The handler then runs in a task of its own, and the
//! layer waits until that task has ended. If it does not end within a cap, the consumer stops,
//! because the next attempt would overlap this one.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::CancelToken;
//! use milena_middleware::{Stack, TimeoutLayer};
//!
//! let stack = Stack::new()
//!     .layer(TimeoutLayer::new(Duration::from_secs(5)))
//!     .handler(async |cancel: CancelToken| {
//!         tokio::select! {
//!             () = cancel.cancelled() => println!("out of time: tidying up"),
//!             () = async { /* the work */ } => {}
//!         }
//!     });
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::TimeoutLayer;
pub use service::{Timeout, TimeoutFuture};
