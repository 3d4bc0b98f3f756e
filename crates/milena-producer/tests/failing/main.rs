//! Bad input, batches that fail, and states that do not come right: each is told as what it is, and the producer lives on where it can.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

mod batches;
mod calls;
mod closing;
#[path = "../cluster/mod.rs"]
mod cluster;
mod fatal;
mod logs;
mod observers;
mod settings;
