//! Circuit breaker. While a dependency is down, records wait for it instead of failing.
//!
//! A breaker belongs to a dependency and is shared by every route that uses it. A closed breaker
//! lets records pass and counts failures. After [too many
//! failures](CircuitBreakerLayer::consecutive) it opens. It is then not ready, its
//! [`Gate`](milena_core::Gate) closes, and the consumer pauses the partitions. After [a
//! while](CircuitBreakerLayer::open_for) the breaker is half open and lets a few records through as
//! probes. If they succeed it closes, if one fails it opens again. With a [slow
//! start](CircuitBreakerLayer::slow_start), a dependency that has just come back does not get the
//! calls of all lanes at once. [`CircuitBreakers`] gives routes the same breaker by its name.
//!
//! An outage spends no attempts and makes no dead letters. A dependency error does not count as an
//! attempt if the breaker is open afterwards. This holds for the call that opened it and for a
//! failed probe. If one record is the failed probe [too often in a
//! row](CircuitBreakerLayer::probes_per_record), the record itself may keep the breaker open. Its
//! failures then count as attempts. The gate's reason names the record from its second failed probe
//! on.
//!
//! Failures are errors of the classes transient, throttled, dependency and timeout. Poison,
//! business and panic say nothing about the dependency and count neither way.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Text};
//! use milena_middleware::{CircuitBreakerLayer, RetryLayer, Stack};
//!
//! let payments = CircuitBreakerLayer::new("payments")
//!     .consecutive(5)
//!     .open_for(Duration::from_secs(10));
//! let breaker = payments.breaker(); // to watch it, and to share it by a clone of the layer
//! let stack = Stack::new()
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .layer(payments)
//!     .handler(async |_: Text| ());
//! assert!(breaker.gate().is_open());
//! # let _ = stack;
//! ```

mod breaker;
mod layer;
mod registry;
mod service;
mod window;

pub use breaker::{BreakerState, CircuitBreaker};
pub use layer::CircuitBreakerLayer;
pub use registry::CircuitBreakers;
pub use service::{BreakerFuture, CircuitBreakerService};
