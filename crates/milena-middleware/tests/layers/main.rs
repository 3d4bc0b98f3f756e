//! The layers around handlers, in a paused clock: what a user of a stack would notice.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

mod batch;
mod bed;
mod breaker;
mod dead_letters;
mod delayed;
mod emit;
mod ledger;
mod limits;
mod passing_over;
mod recovery;
mod retry;
mod router;
mod stack;
mod timeout;
mod whole;
