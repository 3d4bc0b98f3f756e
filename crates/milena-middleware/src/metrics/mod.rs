//! Metrics. Counts each attempt at this layer's place in the stack with the consumer's recorder.
//!
//! A consumer with a [recorder](milena_core::Recorder) counts each record when it is settled, and
//! the attempts of its driver. If a retry layer repeats attempts, only a metrics layer inside it
//! sees each of them. The driver then leaves the counting of attempts to this layer.
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
