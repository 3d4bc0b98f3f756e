//! Faults for tests. Fails a share of the attempts on purpose. Runs with the same seed fail in the
//! same way.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, ErrorClass, Text};
//! use milena_middleware::{FaultLayer, RecoveryLayer, RetryLayer, Stack, TimeoutLayer};
//!
//! let faults = FaultLayer::seeded(42)
//!     .errors(0.05, ErrorClass::Transient)
//!     .delays(0.10, Duration::from_millis(20))
//!     .panics(0.01)
//!     .hangs(0.01);
//! let stack = Stack::new()
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .layer(TimeoutLayer::new(Duration::from_secs(1)))
//!     .layer(RecoveryLayer::new())
//!     .layer(faults.clone())
//!     .handler(async |_: Text| ());
//! assert_eq!(faults.made(), 0);
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::FaultLayer;
pub use service::Fault;
