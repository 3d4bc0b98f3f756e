//! The limits of the checks, most of them times.

use std::time::Duration;

use crate::health::Health;

/// The settings of a [`Health`]. [`Health::builder`] makes it.
#[derive(Clone, Debug)]
#[must_use = "nothing is judged before `build`"]
pub struct HealthBuilder {
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

impl Default for HealthBuilder {
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

impl HealthBuilder {
    /// Sets the time that a partition may lag without a settled record. Default 60 s, which is
    /// longer than most handlers take with their retries. A record that is held until its time does
    /// not count.
    pub fn stalled_after(mut self, time: Duration) -> Self {
        self.stalled_after = time;
        self
    }

    /// Sets the time that a partition's fetches may fail before it is reported. Default 3 s,
    /// because the election of another leader mostly takes less.
    pub fn fetches_after(mut self, time: Duration) -> Self {
        self.fetches_after = time;
        self
    }

    /// Sets the time that a consumer may be no member of its group. Default 60 s, the default
    /// rebalance timeout.
    pub fn group_after(mut self, time: Duration) -> Self {
        self.group_after = time;
        self
    }

    /// Sets the time that commits may fail. Default 30 s, because the move to another coordinator
    /// takes less.
    pub fn commits_after(mut self, time: Duration) -> Self {
        self.commits_after = time;
        self
    }

    /// Sets the time that callers may wait for a producer's memory without a break. Default 10 s.
    /// Short waits are normal, because they are how the producer slows callers down.
    pub fn buffer_after(mut self, time: Duration) -> Self {
        self.buffer_after = time;
        self
    }

    /// Sets the time after which a failure counts as not alive, if a restart could help. Default
    /// 5 min.
    pub fn dead_after(mut self, time: Duration) -> Self {
        self.dead_after = time;
        self
    }

    /// Sets the time between two requests that test whether a broker answers, for clients that are
    /// built with this health. Default 3 s, so that an unreachable broker is known within five
    /// seconds even if no other request goes to it.
    pub fn probe_interval(mut self, time: Duration) -> Self {
        self.probe_interval = time;
        self
    }

    /// Builds the health. It watches no client yet.
    #[must_use]
    pub fn build(self) -> Health {
        Health::start(self)
    }
}
