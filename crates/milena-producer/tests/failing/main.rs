//! Bad input, batches that fail, and states that do not recover. Each has its own error, and the
//! producer can still be used where possible.
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
