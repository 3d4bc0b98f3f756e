//! The producer against the in-process broker, in memory, with the clock paused. Records go out one
//! by one, many as one awaitable, with a callback, through a sink, and in batches of a given size.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

mod batching;
#[path = "../bed/mod.rs"]
mod bed;
mod callbacks;
mod changes;
mod choosing;
mod failing;
mod limits;
mod order;
mod outcomes;
mod service;
mod sink;
mod slow_link;
mod spreading;
mod together;
