//! Tests of groups against the embedded broker, under both protocols and beside other clients, and
//! of what a panic in a member's tasks does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

#[path = "../bed/mod.rs"]
mod bed;
mod both;
mod classic;
mod consumer;
mod foreign;
mod supervision;
