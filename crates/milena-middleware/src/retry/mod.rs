//! Retry in place. Runs a record again after an error that may pass by itself, with a backoff and a
//! bound.
//!
//! The record keeps its lane meanwhile, so the order of records is kept too. The layer retries
//! errors of the classes transient, throttled, dependency, timeout and panic, and
//! [`Outcome::Retry`](milena_core::Outcome::Retry). It does not retry poison, business and fatal
//! errors. A wait that the error names replaces the backoff. Time in which the layers inside are
//! not ready, for example behind an open breaker, is neither an attempt nor elapsed time. A
//! dependency error does not count as an attempt if it opened its breaker, or was its probe.
//!
//! A class of errors can have its own [number of attempts](RetryLayer::max_attempts_for) and its
//! own [backoff](RetryLayer::backoff_for). A [budget](RetryBudget), shared by several layers,
//! spreads retries over time when many records fail at once.
//!
//! When all attempts are used up, the layer returns the last error with its class. When the
//! partition must be given back, the wait ends at once and the record stays unsettled. The next
//! owner of the partition reads it again.
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
//! # async fn run<R>(stack: R)
//! # where
//! #     R: Routes,
//! #     R::Service: Service<Incoming, Response = Outcome, Error = milena_core::BoxError>,
//! # {
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
