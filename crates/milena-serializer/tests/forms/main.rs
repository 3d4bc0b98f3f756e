//! Values as bytes, and back.
#![allow(
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

mod codecs;
mod content_type;
mod java_forms;
mod xml;
