//! The reports that follow from events and figures, with the clock paused, and the page over a
//! socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod brokers;
mod consumers;
mod http;
mod records;
mod whole;
