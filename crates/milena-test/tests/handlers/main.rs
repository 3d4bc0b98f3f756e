//! Handlers, stacks and routers under the test kit, and the kit itself.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

mod bad_input;
mod batches;
mod bounds;
mod figures;
mod holding;
mod kit;
mod processing;
mod spawned;
mod trial;
mod writes;
