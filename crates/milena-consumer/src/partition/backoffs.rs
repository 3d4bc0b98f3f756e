//! Failures of a partition in a row, and the times before which it is left alone because of them.

use std::time::Duration;

use tokio::time::Instant;

/// Counts of failures in a row, and the waits that follow from them.
#[derive(Debug, Default)]
pub(super) struct Backoffs {
    /// The time before which it is not fetched, after a failure. `None` for no wait.
    quiet_until: Option<Instant>,
    /// The number of failed fetches and truncations in a row.
    failures: u32,
    /// The number of times in a row that the position was out of the log's range.
    resets: u32,
    /// The number of times in a row that the batch at this place could not be read.
    spoiled: u32,
    /// The number of answers in a row that held less than one batch, though the batch would have
    /// fitted.
    cut_short: u32,
    /// The number of answers in a row to a fetch of this partition alone that could not be read.
    /// `None` while it is fetched together with others.
    alone: Option<u32>,
    /// The time before which its position is not looked up. `None` for no wait.
    lookup_after: Option<Instant>,
    /// The number of failed lookups in a row.
    lookup_failures: u32,
}

impl Backoffs {
    /// Returns the time before which it is not fetched. `None` for no wait.
    pub(super) fn quiet_until(&self) -> Option<Instant> {
        self.quiet_until
    }

    /// Sets the time before which it is not fetched.
    pub(super) fn be_quiet(&mut self, until: Option<Instant>) {
        self.quiet_until = until;
    }

    /// Returns true while it is not to be fetched.
    pub(super) fn is_quiet(&self, now: Instant) -> bool {
        self.quiet_until.is_some_and(|until| until > now)
    }

    /// Returns the wait that a position that is out of range again and again keeps.
    pub(super) fn quiet_of_resets(&self) -> Option<Instant> {
        self.quiet_until.filter(|_| self.resets > 0)
    }

    /// Returns the time before which its position is not looked up. `None` for no wait.
    pub(super) fn lookup_due(&self) -> Option<Instant> {
        self.lookup_after.max(self.quiet_of_resets())
    }

    /// Starts over at a new place. Failures of fetches in a row still count.
    pub(super) fn restart(&mut self) {
        self.quiet_until = None;
        self.spoiled = 0;
        self.lookup_is_well();
    }

    /// Notes a failed lookup of the position.
    pub(super) fn lookup_failed(&mut self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.lookup_after = Some(now + delay(self.lookup_failures));
        self.lookup_failures = self.lookup_failures.saturating_add(1);
    }

    /// Notes that the position was looked up.
    pub(super) fn lookup_is_well(&mut self) {
        self.lookup_after = None;
        self.lookup_failures = 0;
    }

    /// Notes a failed fetch.
    pub(super) fn fetch_failed(&mut self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.quiet_until = Some(now + delay(self.failures));
        self.failures = self.failures.saturating_add(1);
    }

    /// Notes a fetch that succeeded.
    pub(super) fn fetch_is_well(&mut self) {
        self.quiet_until = None;
        self.failures = 0;
        self.resets = 0;
    }

    /// Notes that the log was truncated above the position. Returns true if that happened before.
    /// It is then not fetched before the time that `quiet` returns for the number of times.
    pub(super) fn was_cut(&mut self, quiet: impl FnOnce(u32) -> Instant) -> bool {
        let again = self.failures > 0;
        if again {
            self.quiet_until = Some(quiet(self.failures - 1));
        }
        self.failures = self.failures.saturating_add(1);
        again
    }

    /// Notes that the position was out of range. The first reset is immediate. A repeated one, as
    /// from a broker that answers wrongly, waits.
    pub(super) fn was_reset(&mut self, quiet: impl FnOnce(u32) -> Instant) {
        self.quiet_until = (self.resets > 0).then(|| quiet(self.resets - 1));
        self.resets = self.resets.saturating_add(1);
    }

    /// Notes that a seek moved the position.
    pub(super) fn was_sought(&mut self) {
        self.resets = 0;
    }

    /// Notes that the batch at this place cannot be read.
    pub(super) fn was_spoiled(&mut self, now: Instant, delay: impl FnOnce(u32) -> Duration) {
        self.quiet_until = Some(now + delay(self.spoiled));
        self.spoiled = self.spoiled.saturating_add(1);
    }

    /// Notes that a batch was read.
    pub(super) fn is_readable(&mut self) {
        self.spoiled = 0;
    }

    /// Returns the number of times in a row that this place was found unreadable.
    pub(super) fn times_spoiled(&self) -> u32 {
        self.spoiled
    }

    /// Notes an answer that held less than one batch. Returns the number of times in a row.
    pub(super) fn was_cut_short(&mut self) -> u32 {
        self.cut_short = self.cut_short.saturating_add(1);
        self.cut_short
    }

    /// Notes an answer that held a whole batch.
    pub(super) fn is_whole(&mut self) {
        self.cut_short = 0;
    }

    /// Notes that an answer to a fetch of this partition alone could not be read. Returns the
    /// number of times in a row.
    pub(super) fn ask_alone(&mut self, now: Instant, delay: impl FnOnce(u32) -> Duration) -> u32 {
        let times = self.alone.map_or(1, |times| times.saturating_add(1));
        self.alone = Some(times);
        self.fetch_failed(now, delay);
        times
    }

    /// Notes that an answer to a fetch of this partition alone was read.
    pub(super) fn ask_with_others(&mut self) {
        self.alone = None;
    }

    /// Returns true while it is fetched alone.
    pub(super) fn is_asked_alone(&self) -> bool {
        self.alone.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_reset_is_immediate_and_a_repeated_one_waits_until_a_fetch_succeeds() {
        let (mut backoffs, now) = (Backoffs::default(), Instant::now());
        let later = |times: u32| now + Duration::from_secs(u64::from(times) + 1);
        backoffs.was_reset(later);
        assert_eq!(backoffs.lookup_due(), None);
        backoffs.was_reset(later);
        assert_eq!(backoffs.lookup_due(), Some(later(0)));
        backoffs.fetch_is_well();
        assert_eq!(backoffs.lookup_due(), None);
        backoffs.was_reset(later);
        assert!(!backoffs.is_quiet(now));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_wait_longer_each_time() {
        let (mut backoffs, now) = (Backoffs::default(), Instant::now());
        let delay = |times: u32| Duration::from_secs(u64::from(times) + 1);
        backoffs.fetch_failed(now, delay);
        backoffs.fetch_failed(now, delay);
        assert_eq!(backoffs.quiet_until(), Some(now + Duration::from_secs(2)));
        assert_eq!(backoffs.ask_alone(now, delay), 1);
        assert_eq!(backoffs.quiet_until(), Some(now + Duration::from_secs(3)));
    }
}
