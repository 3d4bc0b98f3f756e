//! Logging: a line for each record that ended, by `tracing`.
//!
//! Records that went well at debug, skipped ones at info, failures at warn, fatal ones at error. A line names topic, partition, offset,
//! the attempts that were made and the class, for a dead letter or a retry also the cause and the topic; never key, value or headers.
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
