//! Decides whether to try again, and after what wait. Pure.

use std::time::Duration;

use milena_core::{Backoff, ErrorClass};

use super::budget::RetryBudget;

/// The settings of a retry layer.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    /// The waits between attempts for classes without their own backoff.
    backoff: Backoff,
    /// The attempts in all, the first included. At least 1.
    pub(super) max_attempts: u32,
    /// The longest time from the first attempt to the start of the last. `None` for no limit.
    pub(super) max_elapsed: Option<Duration>,
    /// The budget for retries. `None` for no limit.
    pub(super) budget: Option<RetryBudget>,
    /// The number of attempts of classes that have their own. At least 1 each.
    own: Vec<(ErrorClass, u32)>,
    /// The backoff of classes that have their own.
    own_backoffs: Vec<(ErrorClass, Backoff)>,
}

impl Policy {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            max_attempts: 5,
            max_elapsed: None,
            budget: None,
            own: Vec::new(),
            own_backoffs: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, class: ErrorClass, attempts: u32) {
        self.own.retain(|(known, _)| *known != class);
        self.own.push((class, attempts));
    }

    pub(super) fn set_backoff(&mut self, class: ErrorClass, backoff: Backoff) {
        self.own_backoffs.retain(|(known, _)| *known != class);
        self.own_backoffs.push((class, backoff));
    }

    /// Returns the wait before the next attempt, or `None` if `attempt`, counted from 1, was the
    /// last.
    ///
    /// `elapsed` is the time since the first attempt began, without the time not ready. `asked` is
    /// the wait that the error named.
    pub(super) fn again(
        &self,
        class: ErrorClass,
        attempt: u32,
        elapsed: Duration,
        asked: Option<Duration>,
    ) -> Option<Duration> {
        if attempt >= self.attempts_for(class) {
            return None;
        }
        let wait = asked.unwrap_or_else(|| self.backoff_for(class).delay(attempt - 1));
        let in_time = self
            .max_elapsed
            .is_none_or(|max| elapsed.saturating_add(wait) <= max);
        in_time.then_some(wait)
    }

    /// Returns true if `class` has its own number of attempts.
    pub(super) fn has_own(&self, class: ErrorClass) -> bool {
        self.own.iter().any(|(known, _)| *known == class)
    }

    fn attempts_for(&self, class: ErrorClass) -> u32 {
        let own = self.own.iter().find(|(known, _)| *known == class);
        match own {
            Some((_, attempts)) => *attempts,
            None if class.is_retriable() => self.max_attempts,
            None => 1,
        }
    }

    fn backoff_for(&self, class: ErrorClass) -> Backoff {
        let own = self.own_backoffs.iter().find(|(known, _)| *known == class);
        own.map_or(self.backoff, |(_, backoff)| *backoff)
    }

    pub(super) fn most_attempts(&self) -> u32 {
        let own = self.own.iter().map(|(_, attempts)| *attempts);
        own.fold(self.max_attempts, u32::max)
    }

    /// Returns the sum of the longest waits between all attempts.
    pub(super) fn longest_waits(&self) -> Duration {
        let waits = (0..self.most_attempts() - 1).take(1_000);
        let own = self.own_backoffs.iter().map(|(_, backoff)| backoff);
        let longest = |n| {
            let all = own.clone().chain([&self.backoff]);
            all.map(|backoff| backoff.delay_at(n, 1.0)).max()
        };
        let waits = waits.filter_map(longest);
        let longest = waits.fold(Duration::ZERO, Duration::saturating_add);
        self.max_elapsed.map_or(longest, |max| longest.min(max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::new(Backoff::new(Duration::from_millis(100), Duration::from_secs(1)).jitter(0.0))
    }

    const NO_TIME: Duration = Duration::ZERO;

    #[test]
    fn waits_double_and_end_with_the_last_attempt() {
        let wait = |attempt| policy().again(ErrorClass::Transient, attempt, NO_TIME, None);
        assert_eq!(wait(1), Some(Duration::from_millis(100)));
        assert_eq!(wait(4), Some(Duration::from_millis(800)));
        assert_eq!(wait(5), None);
    }

    #[test]
    fn what_can_never_succeed_is_not_tried_again() {
        for class in [ErrorClass::Poison, ErrorClass::Business, ErrorClass::Fatal] {
            assert_eq!(policy().again(class, 1, NO_TIME, None), None);
        }
    }

    #[test]
    fn a_class_can_have_a_number_of_its_own() {
        let mut policy = policy();
        policy.set(ErrorClass::Panic, 2);
        policy.set(ErrorClass::Business, 3);
        assert!(policy.again(ErrorClass::Panic, 1, NO_TIME, None).is_some());
        assert!(policy.again(ErrorClass::Panic, 2, NO_TIME, None).is_none());
        assert!(
            policy
                .again(ErrorClass::Business, 2, NO_TIME, None)
                .is_some()
        );
    }

    #[test]
    fn a_class_can_have_a_backoff_of_its_own() {
        let mut policy = policy();
        let minute = Duration::from_secs(60);
        policy.set_backoff(
            ErrorClass::Throttled,
            Backoff::new(minute, minute).jitter(0.0),
        );
        let wait = |class| policy.again(class, 1, NO_TIME, None);
        assert_eq!(wait(ErrorClass::Throttled), Some(minute));
        assert_eq!(wait(ErrorClass::Timeout), Some(Duration::from_millis(100)));
        assert_eq!(policy.longest_waits(), 4 * minute);
    }

    #[test]
    fn waits_without_measure_overflow_nothing() {
        let mut policy = policy();
        policy.max_elapsed = Some(Duration::MAX);
        policy.set_backoff(
            ErrorClass::Timeout,
            Backoff::new(Duration::MAX, Duration::MAX),
        );
        let late = Duration::from_secs(2);
        let asked = Some(Duration::MAX);
        assert_eq!(policy.again(ErrorClass::Throttled, 1, late, asked), asked);
        assert!(policy.longest_waits() > Duration::from_secs(1 << 40));
    }

    #[test]
    fn the_wait_that_an_error_names_goes_before_the_backoff_and_within_the_time() {
        let mut policy = policy();
        let asked = Some(Duration::from_secs(7));
        assert_eq!(
            policy.again(ErrorClass::Throttled, 1, NO_TIME, asked),
            asked
        );
        policy.max_elapsed = Some(Duration::from_secs(8));
        let late = Duration::from_secs(2);
        assert_eq!(policy.again(ErrorClass::Throttled, 1, late, asked), None);
    }
}
