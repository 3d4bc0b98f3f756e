//! Expiry: passes over records that are too old to be worth their work.
//!
//! A record's age is counted from its timestamp, or from the one that it had before it went through a retry topic or a dead letter topic;
//! one without a timestamp never expires, and a dead letter that was replayed is as old as its replay. A header can name the time itself instead. What is too old is
//! [skipped](milena_core::Outcome::Skip), or becomes a dead letter. Age is looked at once, before the first attempt where the layer stands
//! outside of retry.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Text};
//! use milena_middleware::{ExpiryLayer, RetryLayer, Stack};
//!
//! let stack = Stack::new()
//!     .layer(ExpiryLayer::after(Duration::from_secs(3_600)))
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .handler(async |Text(price): Text| println!("a fresh price: {price}"));
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::ExpiryLayer;
pub use service::Expiry;
