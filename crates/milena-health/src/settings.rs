//! How long what may last before it counts.

use std::time::Duration;

use crate::health::Health;

/// Sets up a [`Health`]. Begun by [`Health::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing is judged before `build`"]
pub struct HealthBuilder {
    pub(crate) stalled_after: Duration,
    pub(crate) fetches_after: Duration,
    pub(crate) group_after: Duration,
    pub(crate) commits_after: Duration,
    pub(crate) buffer_after: Duration,
    pub(crate) dead_after: Duration,
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
    /// How long a partition may lag without a settled record. Default 60 s: longer than handlers and their retries mostly take. A
    /// record that is held until its time does not count.
    pub fn stalled_after(mut self, time: Duration) -> Self {
        self.stalled_after = time;
        self
    }

    /// How long a partition's fetches may fail before it is told. Default 3 s: an election of another leader mostly takes less.
    pub fn fetches_after(mut self, time: Duration) -> Self {
        self.fetches_after = time;
        self
    }

    /// How long a consumer may be no member of its group. Default 60 s, the default rebalance timeout.
    pub fn group_after(mut self, time: Duration) -> Self {
        self.group_after = time;
        self
    }

    /// How long commits may fail. Default 30 s: one that is moving to another coordinator takes less.
    pub fn commits_after(mut self, time: Duration) -> Self {
        self.commits_after = time;
        self
    }

    /// How long callers may wait for a producer's memory without a break. Default 10 s; to wait for moments is how it holds them back.
    pub fn buffer_after(mut self, time: Duration) -> Self {
        self.buffer_after = time;
        self
    }

    /// How long one of these may last before the program no longer counts as alive, where a restart could help. Default 5 min.
    pub fn dead_after(mut self, time: Duration) -> Self {
        self.dead_after = time;
        self
    }

    /// How often each broker is asked for a sign of life by clients that are given the health. Default 3 s, so that one that cannot be
    /// reached is known within five seconds though nobody uses it.
    pub fn probe_interval(mut self, time: Duration) -> Self {
        self.probe_interval = time;
        self
    }

    /// The health; nobody is watched yet.
    #[must_use]
    pub fn build(self) -> Health {
        Health::start(self)
    }
}
