//! The wait before the next attempt: exponential, capped, with jitter (KIP-580).

use std::time::Duration;

/// An exponential backoff with jitter: `initial × multiplier^attempt`, spread by ± `jitter`.
///
/// A wait is never longer than `max` and never shorter than 1 ms. At the cap, jitter only shortens
/// waits, so that clients that have reached it do not all retry at the same moment.
///
/// Defaults: 100 ms (`retry.backoff.ms`), 1 s (`retry.backoff.max.ms`), factor 2, jitter 0.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The wait before the first retry, before jitter.
    initial: Duration,
    /// The longest wait. Never below `initial`.
    max: Duration,
    /// The factor from one wait to the next. At least 1.
    multiplier: f64,
    /// The share by which a wait varies in both directions, 0 to 1.
    jitter: f64,
}

impl Backoff {
    /// Creates a backoff from `initial` to `max`. A `max` below `initial` counts as `initial`.
    ///
    /// A zero wait counts as 1 ms, because retries without any wait would be a busy loop.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self {
            initial,
            max: max.max(initial),
            multiplier: 2.0,
            jitter: 0.2,
        }
    }

    /// Sets the factor from one wait to the next, at least 1. Default 2, also for a factor that is
    /// not finite.
    #[must_use]
    pub fn multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = if multiplier.is_finite() {
            multiplier.max(1.0)
        } else {
            2.0
        };
        self
    }

    /// Sets the share by which a wait varies in both directions, 0 to 1. Default 0.2, as in Kafka's
    /// clients (KIP-580), also for a share that is not finite.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            0.2
        };
        self
    }

    /// Returns the wait before retry number `attempt`, counted from 0. Each call draws a new
    /// jitter.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        self.delay_at(attempt, fastrand::f64())
    }

    /// Returns the wait before retry number `attempt` for the draw `unit`. 0 is the shortest wait,
    /// 1 the longest.
    #[must_use]
    pub fn delay_at(&self, attempt: u32, unit: f64) -> Duration {
        let unit = unit.clamp(0.0, 1.0);
        let exponent = i32::try_from(attempt.min(64)).unwrap_or(64);
        let base = (self.initial.as_secs_f64() * self.multiplier.powi(exponent))
            .min(self.max.as_secs_f64());
        let (shortest, longest) = (base * (1.0 - self.jitter), base * (1.0 + self.jitter));
        // Limit the range before drawing from it. With the limit applied after the draw, half of
        // all draws at the cap would be exactly `max`, and clients would retry at the same moment.
        let longest = longest.min(self.max.as_secs_f64());
        Duration::try_from_secs_f64(shortest + unit * (longest - shortest))
            .unwrap_or(self.max)
            .min(self.max)
            .max(SHORTEST)
    }
}

/// The shortest wait.
const SHORTEST: Duration = Duration::from_millis(1);

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_cap() {
        let backoff = Backoff::default().jitter(0.0);
        let waits: Vec<_> = (0..6).map(|n| backoff.delay(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(backoff.delay(u32::MAX), Duration::from_secs(1));
    }

    #[test]
    fn the_jitter_reaches_both_sides_and_never_the_cap() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay_at(0, 0.0), Duration::from_millis(80));
        assert_eq!(backoff.delay_at(0, 1.0), Duration::from_millis(120));
        assert_eq!(backoff.delay_at(9, 1.0), Duration::from_secs(1));
    }

    #[test]
    fn at_the_cap_waits_still_differ() {
        let backoff = Backoff::default();
        let waits = [0.0, 0.5, 0.9].map(|unit| backoff.delay_at(9, unit).as_millis());
        assert_eq!(waits, [800, 900, 980]);
    }

    #[test]
    fn a_wait_is_never_zero() {
        let none = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert!(none.delay(0) > Duration::ZERO && none.delay(9) > Duration::ZERO);
    }

    #[test]
    fn senseless_settings_do_no_harm() {
        let backoff = Backoff::new(Duration::from_secs(9), Duration::ZERO)
            .multiplier(f64::NAN)
            .jitter(f64::INFINITY);
        assert!(backoff.delay(3) <= Duration::from_secs(9));
    }
}
