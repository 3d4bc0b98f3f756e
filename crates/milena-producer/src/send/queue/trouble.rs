//! The reasons why the records of a partition cannot be sent.

use std::time::Duration;

use milena_core::{Error, ErrorKind};
use tokio::time::Instant;

/// The reasons why nothing of a partition could be sent lately. A delivery clears them all.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// The latest reason. `None` once something was delivered.
    error: Option<Error>,
    /// The time since which there is a reason. `None` while there is none.
    since: Option<Instant>,
    /// The time since which the cluster reports that the topic does not exist. `None` while it does
    /// not report that.
    missing_since: Option<Instant>,
}

impl Trouble {
    /// Notes a reason, in place of an earlier one.
    pub(super) fn note(&mut self, error: Error, now: Instant) {
        self.error = Some(error);
        self.since.get_or_insert(now);
    }

    /// Notes that the partition has no leader, unless another reason is noted already.
    pub(super) fn lacks_leader(&mut self, now: Instant) {
        self.error.get_or_insert_with(|| {
            Error::new(ErrorKind::State, "the partition has no known leader")
        });
        self.since.get_or_insert(now);
    }

    /// Returns the latest reason.
    pub(super) fn error(&self) -> Option<&Error> {
        self.error.as_ref()
    }

    /// Returns the latest reason, and since when there is one.
    pub(super) fn present(&self) -> Option<(Instant, &Error)> {
        self.since.zip(self.error.as_ref())
    }

    /// Notes whether the cluster reports that the topic does not exist.
    pub(super) fn missing(&mut self, missing: bool, now: Instant) {
        if missing {
            self.missing_since.get_or_insert(now);
        } else {
            self.missing_since = None;
        }
    }

    /// Returns true if the cluster has reported for `limit` that the topic does not exist.
    pub(super) fn is_missing_for(&self, limit: Duration, now: Instant) -> bool {
        let since = self.missing_since;
        since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
    }
}
