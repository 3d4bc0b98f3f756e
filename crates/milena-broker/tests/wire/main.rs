//! The embedded broker over the wire, request by request, and as a program.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod cluster;
mod faults;
mod groups;
#[cfg(unix)]
mod program;
mod records;
mod replicas;
mod versions;
