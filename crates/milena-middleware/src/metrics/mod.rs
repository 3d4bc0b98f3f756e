//! Metrics: each attempt is counted where the layer stands, by the recorder of the consumer.
//!
//! A consumer with a [recorder](milena_core::Recorder) counts each record when it is settled, and the attempts of its driver. Where a
//! retry layer tries again, only this layer, put inside it, sees each attempt: the driver then leaves attempts to it.
//!
//! ```
//! use milena_core::{Backoff, Text};
//! use milena_middleware::{MetricsLayer, RetryLayer, Stack};
//!
//! let stack = Stack::new()
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .layer(MetricsLayer::new()) // once per attempt
//!     .handler(async |_: Text| ());
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::MetricsLayer;
pub use service::{Measured, MeasuredFuture};
