//! The time at which the send task looks at everything again.

use tokio::time::Instant;

/// The earliest time at which something has to be looked at again. `None` if there is none.
#[derive(Debug, Default)]
pub(super) struct Wake(Option<Instant>);

impl Wake {
    /// Adds a time. The earliest one stays.
    pub(super) fn at(&mut self, time: Instant) {
        self.0 = Some(self.0.map_or(time, |earlier| earlier.min(time)));
    }

    /// Returns the earliest time.
    pub(super) fn time(&self) -> Option<Instant> {
        self.0
    }
}
