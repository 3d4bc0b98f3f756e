//! The limits of the checks, most of them times.

use std::time::Duration;

/// The limits of the checks.
#[derive(Clone, Debug)]
pub(crate) struct CheckLimits {
    /// The time after which a partition without progress is reported.
    pub(crate) stalled_after: Duration,
    /// The time after which failing fetches are reported.
    pub(crate) fetches_after: Duration,
    /// The time after which a consumer that is no member is reported.
    pub(crate) group_after: Duration,
    /// The time after which failing commits are reported.
    pub(crate) commits_after: Duration,
    /// The time after which a full producer's memory is reported.
    pub(crate) buffer_after: Duration,
    /// The time after which a failure counts as not alive.
    pub(crate) dead_after: Duration,
    /// The time between two requests that test a broker.
    pub(crate) probe_interval: Duration,
}

impl Default for CheckLimits {
    fn default() -> Self {
        Self {
            stalled_after: Duration::from_secs(60),
            fetches_after: Duration::from_secs(3),
            group_after: Duration::from_secs(60),
            commits_after: Duration::from_secs(30),
            buffer_after: Duration::from_secs(10),
            dead_after: Duration::from_secs(300),
            probe_interval: Duration::from_secs(3),
        }
    }
}
