//! Tests of consumers against the embedded broker, in memory and under a paused clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

mod assigning;
mod basics;
#[path = "../bed/mod.rs"]
mod bed;
mod commits;
mod damage;
mod endings;
mod faults;
mod fetching;
mod flow;
mod groups;
mod logged;
mod nearby;
mod no_answers;
mod offsets;
mod spawned;
mod truncation;
mod verdicts;
mod ways;
