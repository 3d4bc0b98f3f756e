//! The ways to produce, which are many records as one awaitable, with a callback, through a sink,
//! and in batches of a given size. The clock is paused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first thing that goes wrong"
)]

mod batching;
mod callbacks;
mod choosing;
#[path = "../cluster/mod.rs"]
mod cluster;
mod service;
mod sink;
mod spreading;
mod together;
