//! Rate limit. Spreads attempts over time, for a dependency with a limited rate.
//!
//! All lanes and routes whose layer is a clone share one limiter and keep the rate together. The
//! limit works by waiting. Without a token the layer is not ready, and waiting is neither an
//! attempt nor a failure. Lanes get their tokens in the order in which they ask. While a lane waits
//! longer than [`pause_after`](RateLimitLayer::pause_after), the gate is closed and its partitions
//! are not fetched.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Text};
//! use milena_middleware::{RateLimitLayer, RetryLayer, Stack};
//!
//! let limit = RateLimitLayer::new("mail", 100, Duration::from_secs(1)).burst(10);
//! let stack = Stack::new()
//!     .layer(RetryLayer::new(Backoff::default())) // outside: each attempt takes a token
//!     .layer(limit.clone())
//!     .handler(async |Text(mail): Text| println!("sending {mail}"));
//! # let _ = stack;
//! ```

mod bucket;
mod layer;
mod limiter;
mod service;

pub use layer::RateLimitLayer;
pub use limiter::RateLimiter;
pub use service::RateLimit;
