//! The files under `deploy/`, held against each other and against the code.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

mod dashboard;
mod manifests;
