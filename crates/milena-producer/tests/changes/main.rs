//! The cluster changes while a producer produces. No record is lost, written twice or out of order,
//! and none waits for ever.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../cluster/mod.rs"]
mod cluster;
mod leaders;
mod replicas;
mod storm;
mod topics;
