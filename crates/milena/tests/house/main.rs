//! Holds the whole workspace to the rules of the house, and its documents to the code.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests: what is missing shall fail them"
)]

mod arrows;
mod comments;
mod documents;
mod knots;
mod names;
mod sources;
