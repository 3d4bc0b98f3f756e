//! Decides when a broker that could not be reached may be dialed again (KIP-144, KIP-580).

use milena_core::Backoff;
use tokio::time::Instant;

/// The waits between dials to one broker. They grow with each failure, and a success resets them.
///
/// A connection that ends after it was in use, or because it was idle, is not a failure.
#[derive(Debug, Default)]
pub(crate) struct NodeBackoff {
    /// Failed dials in a row.
    failures: u32,
    /// The time before which no dial starts. `None` without a failure.
    until: Option<Instant>,
}

impl NodeBackoff {
    /// Returns the time at which the next dial may start. `None` means at once.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    /// Notes that a dial failed.
    pub(crate) fn failed(&mut self, now: Instant, backoff: &Backoff) {
        self.until = Some(now + backoff.delay(self.failures));
        self.failures = self.failures.saturating_add(1);
    }

    /// Notes that a dial succeeded.
    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_with_each_failure_and_a_success_ends_it() {
        let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1)).jitter(0.0);
        let mut node = NodeBackoff::default();
        let now = Instant::now();
        assert_eq!(node.until(now), None);
        let waits: Vec<_> = (0..6)
            .map(|_| {
                node.failed(now, &backoff);
                node.until(now).unwrap().duration_since(now).as_millis()
            })
            .collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1_000]);
        assert_eq!(node.until(now + Duration::from_secs(1)), None);
        node.succeeded();
        assert_eq!(node.until(now), None);
    }
}
