//! Bugs that other consumers had, each as a test that would fail with the bug.
//!
//! - `fetch.rs`: fetching
//! - `offsets.rs`: offsets and where reading starts
//! - `wakeups.rs`: wake-ups, pauses and dropped futures
//! - `groups.rs` and `coordinator.rs`: groups and their coordinator
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod coordinator;
mod fetch;
mod groups;
mod offsets;
mod wakeups;
