//! Counts of what a consumer has done, for the report of a run.

use std::sync::atomic::AtomicU64;

/// Counts of what a consumer has done since it was built.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Unreadable batches that were skipped.
    pub(crate) corrupt: AtomicU64,
    /// Commits that were sent, including those that failed.
    pub(crate) commits: AtomicU64,
}
