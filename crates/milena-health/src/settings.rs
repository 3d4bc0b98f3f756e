//! The builder of a health, which sets the limits of the checks.

use std::time::Duration;

use crate::health::Health;
use crate::limits::CheckLimits;

/// The settings of a [`Health`]. [`Health::builder`] makes it.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is judged before `build`"]
pub struct HealthBuilder {
    /// The limits so far.
    limits: CheckLimits,
}

impl Health {
    /// Makes a health with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Begins to set up a health.
    pub fn builder() -> HealthBuilder {
        HealthBuilder::default()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl HealthBuilder {
    /// Sets the time that a partition may lag without a settled record. Default 60 s, which is
    /// longer than most handlers take with their retries. A record that is held until its time does
    /// not count.
    pub fn stalled_after(mut self, time: Duration) -> Self {
        self.limits.stalled_after = time;
        self
    }

    /// Sets the time that a partition's fetches may fail before it is reported. Default 3 s,
    /// because the election of another leader mostly takes less.
    pub fn fetches_after(mut self, time: Duration) -> Self {
        self.limits.fetches_after = time;
        self
    }

    /// Sets the time that a consumer may be no member of its group. Default 60 s, the default
    /// rebalance timeout.
    pub fn group_after(mut self, time: Duration) -> Self {
        self.limits.group_after = time;
        self
    }

    /// Sets the time that commits may fail. Default 30 s, because the move to another coordinator
    /// takes less.
    pub fn commits_after(mut self, time: Duration) -> Self {
        self.limits.commits_after = time;
        self
    }

    /// Sets the time that callers may wait for a producer's memory without a break. Default 10 s.
    /// Short waits are normal, because they are how the producer slows callers down.
    pub fn buffer_after(mut self, time: Duration) -> Self {
        self.limits.buffer_after = time;
        self
    }

    /// Sets the time after which a failure counts as not alive, if a restart could help. Default
    /// 5 min.
    pub fn dead_after(mut self, time: Duration) -> Self {
        self.limits.dead_after = time;
        self
    }

    /// Sets the time between two requests that test whether a broker answers, for clients that are
    /// built with this health. Default 3 s, so that an unreachable broker is known within five
    /// seconds even if no other request goes to it.
    pub fn probe_interval(mut self, time: Duration) -> Self {
        self.limits.probe_interval = time;
        self
    }

    /// Builds the health. It watches no client yet.
    #[must_use]
    pub fn build(self) -> Health {
        Health::start(self.limits)
    }
}
