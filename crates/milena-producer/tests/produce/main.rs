//! The producer against the in-process broker, in memory, with the clock paused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../cluster/mod.rs"]
mod cluster;
mod limits;
mod order;
mod outcomes;
mod slow_link;
