//! Tower layers around a handler, the stack that orders them, and the router that finds the stack
//! for a record.
//!
//! A handler is a [`Service`](tower_service::Service) from [`Incoming`](milena_core::Incoming) to
//! [`Outcome`](milena_core::Outcome). An async function of extractors becomes one. Layers surround
//! the handler in a [`Stack`], outermost first. Each layer sees only the outcomes and errors that
//! the layers inside it return. An error never drops a record. A record whose error no layer
//! resolves becomes a dead letter, or its lane stops.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Text};
//! use milena_middleware::{RecoveryLayer, RetryLayer, Stack, TimeoutLayer};
//!
//! async fn bill(Text(order): Text) {
//!     println!("billing {order}");
//! }
//!
//! let stack = Stack::new()
//!     .layer(RetryLayer::new(Backoff::default()))
//!     .layer(TimeoutLayer::new(Duration::from_secs(5))) // per attempt
//!     .layer(RecoveryLayer::new())
//!     .handler(bill); // goes into `consumer.run`
//! println!("{}", stack.explain());
//! # use milena_core::Routes;
//! # stack.check().unwrap();
//! ```
//!
//! # Readiness
//! A layer that can be not ready checks its own state first and the layers inside it last. A clone
//! is not ready just because the original was. Waiting for readiness is not an attempt and has no
//! deadline. A [`Gate`](milena_core::Gate) makes the wait visible, and the consumer pauses the
//! partitions until the gate opens.

pub mod batch;
pub mod circuit_breaker;
pub mod classify;
pub mod concurrency;
pub mod dead_letter;
pub mod dedup;
pub mod delayed_retry;
pub mod emit;
pub mod expiry;
pub mod fault;
pub mod filter;
pub mod hold;
pub mod log;
pub mod metrics;
pub mod rate_limit;
pub mod recovery;
pub mod retry;
pub mod router;
pub mod stack;
pub mod timeout;

mod desk;
mod early;
mod origin;
mod readiness;
mod trouble;

pub use circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
pub use classify::ClassifyLayer;
pub use concurrency::ConcurrencyLayer;
pub use dead_letter::DeadLetterLayer;
pub use dedup::DedupLayer;
pub use delayed_retry::{DelayedRetryLayer, RetryTopics};
pub use early::EarlyFuture;
pub use emit::EmitLayer;
pub use expiry::ExpiryLayer;
pub use fault::FaultLayer;
pub use filter::FilterLayer;
pub use hold::HoldLayer;
pub use log::LogLayer;
pub use metrics::MetricsLayer;
pub use rate_limit::RateLimitLayer;
pub use recovery::RecoveryLayer;
pub use retry::RetryLayer;
pub use router::{On, Router};
pub use stack::{Chain, HandlerService, Kind, Profile, Stack, StackLayer, StackRoutes};
pub use timeout::TimeoutLayer;
