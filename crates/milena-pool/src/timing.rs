//! The timeouts and intervals of a cluster handle.

use std::time::Duration;

use milena_core::Backoff;

/// Timeouts and intervals of a cluster handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The waits between attempts and between refreshes, `retry.backoff.ms`.
    pub(crate) retry: Backoff,
    /// The longest time for an operation with its retries, `default.api.timeout.ms`.
    pub(crate) api_timeout: Duration,
    /// The age at which the metadata is refreshed without a request, `metadata.max.age.ms`.
    pub(crate) metadata_max_age: Duration,
    /// The time without use after which a topic is removed from the metadata,
    /// `metadata.max.idle.ms`.
    pub(crate) metadata_max_idle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry: Backoff::default(),
            api_timeout: Duration::from_secs(60),
            metadata_max_age: Duration::from_secs(300),
            metadata_max_idle: Duration::from_secs(300),
        }
    }
}
