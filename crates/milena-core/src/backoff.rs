//! How long to wait before the next try: exponential, capped, with jitter (KIP-580).

use std::time::Duration;

/// A jittered exponential backoff: `initial × multiplier^attempt`, never above `max`, spread by ± `jitter`. At the cap the spread is
/// downwards only, so that all who wait at their longest do not try again in step. A wait is never shorter than 1 ms.
///
/// Defaults: 100 ms (`retry.backoff.ms`), 1 s (`retry.backoff.max.ms`), factor 2, jitter 0.2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    multiplier: f64,
    jitter: f64,
}

impl Backoff {
    /// A backoff from `initial` to `max`; a `max` below `initial` counts as `initial`. Waits of zero would be a busy loop: they count as
    /// 1 ms.
    #[must_use]
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self {
            initial,
            max: max.max(initial),
            multiplier: 2.0,
            jitter: 0.2,
        }
    }

    /// The factor from one wait to the next; at least 1. Default 2.
    #[must_use]
    pub fn multiplier(mut self, multiplier: f64) -> Self {
        self.multiplier = if multiplier.is_finite() {
            multiplier.max(1.0)
        } else {
            2.0
        };
        self
    }

    /// The share by which a wait varies to both sides, 0 to 1. Default 0.2, as Kafka's clients do (KIP-580).
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = if jitter.is_finite() {
            jitter.clamp(0.0, 1.0)
        } else {
            0.2
        };
        self
    }

    /// The wait before retry number `attempt`, counted from 0; drawn anew at each call.
    #[must_use]
    pub fn delay(&self, attempt: u32) -> Duration {
        self.delay_at(attempt, fastrand::f64())
    }

    /// The wait for a given draw `unit` from 0 to 1: 0 is the shortest, 1 the longest.
    #[must_use]
    pub fn delay_at(&self, attempt: u32, unit: f64) -> Duration {
        let unit = unit.clamp(0.0, 1.0);
        let exponent = i32::try_from(attempt.min(64)).unwrap_or(64);
        let base = (self.initial.as_secs_f64() * self.multiplier.powi(exponent))
            .min(self.max.as_secs_f64());
        let (shortest, longest) = (base * (1.0 - self.jitter), base * (1.0 + self.jitter));
        // Cut before the draw: cut after it, half of all draws would be the cap itself.
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
