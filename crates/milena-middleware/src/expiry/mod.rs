//! Expiry. Passes over records that are too old to be worth processing.
//!
//! A record's age counts from its timestamp. A record that went through a retry topic or a dead
//! letter topic keeps its original timestamp. The age of a replayed dead letter counts from the
//! replay. A record without a timestamp never expires. Alternatively, a header can name the time at
//! which the record expires. An expired record is [skipped](milena_core::Outcome::Skip) or becomes
//! a dead letter. Outside of retry, the layer checks the age once, before the first attempt.
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
