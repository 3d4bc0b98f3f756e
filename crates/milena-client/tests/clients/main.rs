//! A client with its producers, consumers and administrators, typed and untyped.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

mod client;
mod typed;
