//! Circuit breaker: while a dependency is down, records wait for it instead of failing against it.
//!
//! A breaker belongs to a dependency and is shared by every route that uses it. Closed, it lets records pass and counts. After
//! [too many failures](CircuitBreakerLayer::consecutive) it opens: it is not ready then, its [`Gate`](milena_core::Gate) closes, and the
//! consumer pauses the partitions. No attempt is spent and nothing becomes a dead letter for it: an error of the class dependency uses up
//! no attempt when the breaker is open by then, be it that it opened it or was its probe. A record that is the probe
//! [too often in a row](CircuitBreakerLayer::probes_per_record) may be what keeps the breaker open: its failures count again, and the gate's
//! reason names it before. After a while it lets a few records
//! through as probes (half open): if they go well it closes, if one fails it opens again. With a [slow start](CircuitBreakerLayer::slow_start)
//! a dependency that is just back is not met by all lanes at once. [`CircuitBreakers`] gives routes the same breaker by its name.
//!
//! Failures are errors of the classes transient, throttled, dependency and timeout. Poison, business and panic say nothing about the
//! dependency and count neither way.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Text};
//! use milena_middleware::{CircuitBreakerLayer, RetryLayer, Stack};
//!
//! let payments = CircuitBreakerLayer::new("payments").consecutive(5).open_for(Duration::from_secs(10));
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
