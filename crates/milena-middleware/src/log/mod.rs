//! Logging. Writes a line by `tracing` for each record that ended.
//!
//! Successes are logged at debug, skipped records at info, failures at warn and fatal ones at
//! error. A line names topic, partition, offset, the attempts made and the error class. For a dead
//! letter or a retry it also names the cause and the topic. It never contains key, value or
//! headers.
//!
//! ```
//! use milena_core::Text;
//! use milena_middleware::{LogLayer, Stack};
//!
//! let stack = Stack::new().layer(LogLayer::new()).handler(async |_: Text| ());
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::LogLayer;
pub use service::{Log, LogFuture};
