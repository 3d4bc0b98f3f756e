//! The round trip time of a connection: a smoothed estimate that any task may read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The smoothed time from a request's last byte written to its answer, in nanoseconds.
///
/// The newest measurement has a weight of 1/8. 0 means that there was none yet.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip(AtomicU64);

impl RoundTrip {
    /// Adds a measurement. Only the connection's driver calls this, so the read and the write of
    /// the value cannot race.
    pub(crate) fn observe(&self, sample: Duration) {
        let sample = u64::try_from(sample.as_nanos()).unwrap_or(u64::MAX).max(1);
        let old = self.0.load(Ordering::Relaxed);
        let new = match old {
            0 => sample,
            old => old - old / 8 + sample / 8,
        };
        self.0.store(new, Ordering::Relaxed);
    }

    /// Returns the estimate. `None` before the first answer.
    pub(crate) fn get(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_slowly() {
        let trip = RoundTrip::default();
        assert_eq!(trip.get(), None);
        trip.observe(Duration::from_micros(800));
        assert_eq!(trip.get(), Some(Duration::from_micros(800)));
        trip.observe(Duration::from_micros(1_600));
        assert_eq!(trip.get(), Some(Duration::from_micros(900)));
    }
}
