//! The metrics, their table, and the files under `deploy/` that name them.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

mod deploy;
mod table;
