//! Retry in place: what may pass by itself is tried again, with a backoff and a bound.
//!
//! The record keeps its lane meanwhile, so that its order is kept too. Tried again are errors of the classes transient, throttled,
//! dependency, timeout and panic, and [`Outcome::Retry`](milena_core::Outcome::Retry); poison, business and fatal errors are not. A wait
//! that the error names goes before the backoff. Time in which the layers inside are not ready, behind an open breaker say, is neither
//! an attempt nor elapsed time; nor is a failure of the dependency that opens its breaker or is its probe.
//!
//! A class of errors can have a [number](RetryLayer::max_attempts_for) and a [backoff](RetryLayer::backoff_for) of its own. A
//! [budget](RetryBudget), shared by several layers, spreads repeats over time when much fails at once.
//!
//! When attempts are used up, the last error goes outwards, with its class. When the partition is to be given back, waiting ends at
//! once and the record stays unsettled: the next owner reads it again.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Attempt, Backoff, Incoming, Outcome, ProcessError};
//! use milena_middleware::{RetryLayer, Stack};
//! # use milena_core::{ConsumerRecord, Routes};
//! # use tower::{Service, ServiceExt};
//!
//! async fn call_home(Attempt(attempt): Attempt) -> Result<Outcome, ProcessError> {
//!     if attempt < 3 { Err(ProcessError::transient("busy")) } else { Ok(Outcome::Ack) }
//! }
//!
//! let backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
//! let stack = Stack::new().layer(RetryLayer::new(backoff).max_attempts(5)).handler(call_home);
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn run(stack: impl Routes<Service: Service<Incoming, Response = Outcome, Error = milena_core::BoxError>>) {
//! # let record = ConsumerRecord::new("orders", 0, 0);
//! # let outcome = stack.service(0).oneshot(Incoming::new(record)).await.unwrap();
//! # assert_eq!(outcome, Outcome::Ack);
//! # }
//! # run(stack);
//! ```

mod budget;
mod layer;
mod policy;
mod service;

pub use budget::RetryBudget;
pub use layer::RetryLayer;
pub use service::{Retry, RetryFuture};
