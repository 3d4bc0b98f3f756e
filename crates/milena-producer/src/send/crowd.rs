//! The looks that show whether partitions wait behind each other on a connection.

use std::time::Duration;

use tokio::time::Instant;

/// The state of a connection that shows whether it is crowded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Crowd {
    /// The time of the last look. `None` before the first.
    looked: Option<Instant>,
    /// The looks in a row in which the connection was crowded.
    streak: u8,
}

/// The time between two looks at a connection.
const LOOK: Duration = Duration::from_millis(2);

/// The looks in a row in which a connection has to be crowded. A burst ends sooner.
const STREAK: u8 = 4;

impl Crowd {
    /// Returns true if it is time for the next look.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| looked + LOOK <= now)
    }

    /// Notes a look. Returns true if the connection has been crowded for long enough.
    pub(crate) fn note(&mut self, crowded: bool, now: Instant) -> bool {
        self.looked = Some(now);
        self.streak = if crowded { self.streak + 1 } else { 0 };
        let long = self.streak >= STREAK;
        if long {
            self.streak = 0;
        }
        long
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_counts_as_crowded_when_it_stays_so() {
        let mut crowd = Crowd::default();
        let mut times = 0;
        for crowded in [true, true, false, true, true, true] {
            assert!(crowd.is_due(Instant::now()));
            assert!(!crowd.note(crowded, Instant::now()));
            assert!(!crowd.is_due(Instant::now()));
            tokio::time::advance(LOOK).await;
            times += 1;
        }
        assert!(crowd.note(true, Instant::now()));
        assert_eq!(times, 6);
    }
}
