//! Connections against a scripted peer, and the cluster handle against the embedded broker.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod cluster;
mod connection;
mod gone;
mod known_bugs;
mod picture;
mod throughput;
