//! Classify. Gives errors of other crates the class that decides how their records are handled.
//!
//! An error without a class is [transient](milena_core::ErrorClass::Transient). Its record is
//! retried within a bound and then becomes a dead letter. An [`ErrorMap`](milena_core::ErrorMap)
//! gives the error types that it knows a better class.
//!
//! ```
//! use std::num::ParseIntError;
//!
//! use milena_core::{Backoff, ErrorClass, ErrorMap, Text};
//! use milena_middleware::{ClassifyLayer, RetryLayer, Stack};
//!
//! async fn count(Text(number): Text) -> Result<(), ParseIntError> {
//!     let _: u64 = number.parse()?; // trying again will not help
//!     Ok(())
//! }
//!
//! let map = ErrorMap::standard().class::<ParseIntError>(ErrorClass::Poison);
//! let stack = Stack::new()
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .layer(ClassifyLayer::new(map))
//!     .handler(count);
//! # let _ = stack;
//! ```

mod layer;
mod service;

pub use layer::ClassifyLayer;
pub use service::{Classified, ClassifyFuture};
