//! Computes when the next token is available. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens that arrive at a steady pace. Up to `burst` of them can be saved.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// The time in which one token arrives.
    pub(super) interval: Duration,
    /// The largest number of saved tokens. At least 1.
    pub(super) burst: u32,
    /// The time at which the bucket would be full again if no further token were taken. `None`
    /// until the first one is taken.
    full_at: Option<Instant>,
}

impl Bucket {
    pub(super) fn new(interval: Duration, burst: u32) -> Self {
        Self {
            interval,
            burst: burst.max(1),
            full_at: None,
        }
    }

    /// Takes the next token and returns the time at which it is available.
    pub(super) fn take(&mut self, now: Instant) -> Instant {
        // Tokens are not stored. The bucket lacks one token for each interval between now and
        // `full_at`. The next token is available once the bucket lacks fewer than `burst`.
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        // Past the end of the clock, no other token is expected in the process's life.
        self.full_at = Some(full_at.checked_add(self.interval).unwrap_or(full_at + FAR));
        let saved = self.interval.saturating_mul(self.burst - 1);
        full_at.checked_sub(saved).map_or(now, |at| at.max(now))
    }

    /// Returns a token that was not used.
    pub(super) fn give_back(&mut self) {
        self.full_at = self.full_at.and_then(|at| at.checked_sub(self.interval));
    }
}

/// A time that no process outlives, 30 years.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_saved_goes_at_once_and_the_rest_at_the_pace() {
        let now = Instant::now();
        let mut bucket = Bucket::new(SECOND, 3);
        let waits: Vec<_> = (0..6).map(|_| bucket.take(now) - now).collect();
        assert_eq!(
            waits.iter().map(Duration::as_secs).collect::<Vec<_>>(),
            [0, 0, 0, 1, 2, 3]
        );
        let later = now + 10 * SECOND;
        let waits: Vec<_> = (0..4)
            .map(|_| (bucket.take(later) - later).as_secs())
            .collect();
        assert_eq!(waits, [0, 0, 0, 1], "no more is saved than the burst");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pace_without_measure_overflows_nothing() {
        let now = Instant::now();
        let mut bucket = Bucket::new(Duration::MAX, 1);
        assert_eq!(bucket.take(now), now);
        assert!(bucket.take(now) - now > 3_600 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_given_back_is_there_again() {
        let now = Instant::now();
        let mut bucket = Bucket::new(SECOND, 1);
        assert_eq!(bucket.take(now), now);
        assert_eq!(bucket.take(now), now + SECOND);
        bucket.give_back();
        assert_eq!(bucket.take(now), now + SECOND);
    }
}
