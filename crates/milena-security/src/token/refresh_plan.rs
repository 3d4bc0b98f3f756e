//! The time at which a token is replaced.

use std::time::Duration;

use milena_core::Timestamp;

/// The window in which a token is replaced (`sasl.login.refresh.*`).
///
/// Default: at 80 % of its life, spread by ± 5 %, at least 300 s before it expires, and at least
/// 60 s after it was fetched. When a life is too short for both, the time after the fetch counts
/// first, and then 80 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RefreshPlan {
    /// The share of the life after which a token is replaced, 0.5 to 1.
    window: f64,
    /// The share of the life by which the time varies in both directions, 0 to 0.25.
    jitter: f64,
    /// The shortest time between two fetches.
    least: Duration,
    /// The time before the end in which no fetch should begin.
    buffer: Duration,
}

impl Default for RefreshPlan {
    fn default() -> Self {
        Self {
            window: 0.8,
            jitter: 0.05,
            least: Duration::from_secs(60),
            buffer: Duration::from_secs(300),
        }
    }
}

impl RefreshPlan {
    /// Sets the share of the life after which a token is replaced
    /// (`sasl.login.refresh.window.factor`). 0.5 to 1, default 0.8.
    #[must_use]
    pub fn window(mut self, share: f64) -> Self {
        self.window = if share.is_finite() {
            share.clamp(0.5, 1.0)
        } else {
            0.8
        };
        self
    }

    /// Sets the share by which the time varies in both directions
    /// (`sasl.login.refresh.window.jitter`). 0 to 0.25, default 0.05.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = if share.is_finite() {
            share.clamp(0.0, 0.25)
        } else {
            0.05
        };
        self
    }

    /// Sets the shortest time between two fetches (`sasl.login.refresh.min.period.seconds`).
    /// Default 60 s.
    #[must_use]
    pub fn least(mut self, least: Duration) -> Self {
        self.least = least;
        self
    }

    /// Sets the time before the end in which no fetch should begin
    /// (`sasl.login.refresh.buffer.seconds`). Default 300 s.
    #[must_use]
    pub fn buffer(mut self, buffer: Duration) -> Self {
        self.buffer = buffer;
        self
    }

    /// Returns the shortest time between two fetches.
    pub(crate) fn shortest(&self) -> Duration {
        self.least
    }

    /// Returns the time at which a token is replaced that was fetched at `fetched` and ends at
    /// `expires`. `unit` is the draw of the jitter, from 0 for the earliest to 1 for the latest
    /// time.
    #[must_use]
    pub fn due(&self, fetched: Timestamp, expires: Timestamp, unit: f64) -> Timestamp {
        let life = expires.since(fetched);
        let share = self.window + self.jitter * (unit.clamp(0.0, 1.0) * 2.0 - 1.0);
        let wanted = Duration::try_from_secs_f64(life.as_secs_f64() * share.clamp(0.0, 1.0));
        let wanted = wanted.unwrap_or(life);
        let latest = life.saturating_sub(self.buffer);
        // A life that is shorter than buffer and least time together is replaced by its share
        // alone, as in Java. The token would expire before the next fetch otherwise.
        if latest < self.least {
            return fetched.plus(wanted);
        }
        fetched.plus(wanted.min(latest).max(self.least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(life: u64, unit: f64) -> i64 {
        let start = Timestamp::from_millis(0);
        let expires = start.plus(Duration::from_secs(life));
        RefreshPlan::default().due(start, expires, unit).to_millis() / 1_000
    }

    #[test]
    fn a_token_is_replaced_at_four_fifths_with_jitter() {
        assert_eq!(
            [0.0, 0.5, 1.0].map(|unit| due(3_600, unit)),
            [2_700, 2_880, 3_060]
        );
    }

    #[test]
    fn the_last_five_minutes_are_kept_free() {
        assert_eq!(due(900, 0.5), 600);
        assert_eq!(due(400, 0.5), 100);
    }

    #[test]
    fn a_short_life_is_replaced_by_its_share() {
        assert_eq!(due(10, 0.5), 8);
        assert_eq!(due(359, 0.5), 287);
        assert_eq!(due(0, 0.5), 0);
    }

    #[test]
    fn senseless_settings_do_no_harm() {
        let plan = RefreshPlan::default().window(f64::NAN).jitter(9.0);
        let start = Timestamp::from_millis(0);
        let due = plan.due(start, Timestamp::from_millis(i64::MAX), f64::NAN);
        assert!(due > start);
    }
}
