//! The counters of one lane of a route. No other lane writes them, so lanes do not contend.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_core::ErrorClass;

use crate::buckets::NANOS;

/// Counters of attempts and records by how they ended. Each slot is made when an end first occurs.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    /// The times of attempts, by place among the [`ENDS`].
    attempts: [OnceLock<Box<Times>>; ENDS.len()],
    /// The times of records from their first attempt, by place among the [`ENDS`].
    records: [OnceLock<Box<Times>>; ENDS.len()],
    /// The times of records that settled in their first attempt. Each counts as an attempt and as a
    /// record, so that the common case writes one histogram.
    at_once: [OnceLock<Box<Times>>; ENDS.len()],
    /// Attempts after a record's first.
    retries: AtomicU64,
}

/// A histogram of times. Aligned to a cache line, so that lanes do not share one.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Times {
    /// Times per bucket of [`NANOS`], not cumulative. The last bucket counts those above all
    /// bounds.
    buckets: [AtomicU64; NANOS.len() + 1],
    /// The sum of all times in nanoseconds.
    nanos: AtomicU64,
}

/// The ways that an attempt or a record may end. Outcomes come first, then classes of errors.
pub(crate) const ENDS: [&str; 17] = [
    "ack",
    "skip",
    "retry",
    "dead_letter",
    "dead_lettered",
    "forwarded",
    "hold",
    "stop",
    "other",
    "transient",
    "throttled",
    "dependency",
    "timeout",
    "panic",
    "poison",
    "business",
    "fatal",
];

/// The place of `dead_lettered` among the [`ENDS`].
pub(crate) const DEAD_LETTERED: usize = 4;
/// The place of `other` among the [`ENDS`], for names that are not in it.
const OTHER: usize = 8;

impl Cells {
    /// Counts one attempt. `attempt` is its number, and the first is 1.
    pub(crate) fn attempt(
        &self,
        attempt: u32,
        elapsed: Duration,
        result: Result<&'static str, ErrorClass>,
    ) {
        let end = result.unwrap_or_else(ErrorClass::name);
        note(&self.attempts, end, elapsed);
        if attempt > 1 {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a record that settled in its first attempt, as an attempt and as a record.
    pub(crate) fn settled_at_once(&self, elapsed: Duration, outcome: &'static str) {
        note(&self.at_once, outcome, elapsed);
    }

    /// Counts a record that settled later.
    pub(crate) fn record(&self, elapsed: Duration, outcome: &'static str) {
        note(&self.records, outcome, elapsed);
    }
}

/// Adds one time to the histogram of `end`.
fn note(all: &[OnceLock<Box<Times>>; ENDS.len()], end: &str, elapsed: Duration) {
    let at = ENDS.iter().position(|known| *known == end).unwrap_or(OTHER);
    let Some(times) = all.get(at) else { return };
    let times = times.get_or_init(Box::default);
    let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
    let bucket = NANOS.iter().take_while(|bound| nanos > **bound).count();
    if let Some(bucket) = times.buckets.get(bucket) {
        bucket.fetch_add(1, Ordering::Relaxed);
        times.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// The sums over several lanes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    /// The times of attempts by end. `None` if no attempt ended so.
    pub(crate) attempts: [Option<Sum>; ENDS.len()],
    /// The times of records by end. `None` if no record ended so.
    pub(crate) records: [Option<Sum>; ENDS.len()],
    /// Attempts after a record's first.
    pub(crate) retries: u64,
}

/// The values of a histogram when it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Times per bucket, not cumulative. The last bucket counts those above all bounds.
    pub(crate) buckets: [u64; NANOS.len() + 1],
    /// The sum of all times in nanoseconds.
    pub(crate) nanos: u64,
}

impl Totals {
    /// Adds the counters of one lane.
    pub(crate) fn add(&mut self, cells: &Cells) {
        self.retries += cells.retries.load(Ordering::Relaxed);
        for (sums, own) in [
            (&mut self.attempts, &cells.attempts),
            (&mut self.records, &cells.records),
        ] {
            for times in [own, &cells.at_once] {
                let both = sums.iter_mut().zip(times);
                for (sum, times) in both.filter_map(|(sum, cell)| Some((sum, cell.get()?))) {
                    sum.get_or_insert_default().add(times);
                }
            }
        }
    }
}

impl Sum {
    fn add(&mut self, times: &Times) {
        for (sum, cell) in self.buckets.iter_mut().zip(&times.buckets) {
            *sum += cell.load(Ordering::Relaxed);
        }
        self.nanos = self
            .nanos
            .saturating_add(times.nanos.load(Ordering::Relaxed));
    }

    /// Returns the number of times.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_bucket_whose_bound_holds_them() {
        let cells = Cells::default();
        cells.attempt(1, Duration::from_micros(100), Ok("ack"));
        cells.attempt(2, Duration::from_micros(101), Ok("ack"));
        cells.attempt(3, Duration::from_secs(301), Err(ErrorClass::Timeout));
        let mut totals = Totals::default();
        totals.add(&cells);
        let ack = totals.attempts[0].as_ref().unwrap();
        assert_eq!((ack.buckets[0], ack.buckets[1], ack.count()), (1, 1, 2));
        assert_eq!(ack.nanos, 201_000);
        let late = totals.attempts[12].as_ref().unwrap();
        assert_eq!(late.buckets[NANOS.len()], 1);
        assert_eq!(totals.retries, 2);
    }

    #[test]
    fn a_record_that_settles_at_once_counts_as_an_attempt_and_as_a_record() {
        let cells = Cells::default();
        cells.settled_at_once(Duration::from_micros(10), "ack");
        cells.record(Duration::from_micros(10), "ack");
        let mut totals = Totals::default();
        totals.add(&cells);
        let count = |sums: &[Option<Sum>]| sums[0].as_ref().unwrap().count();
        assert_eq!((count(&totals.attempts), count(&totals.records)), (1, 2));
    }

    #[test]
    fn every_class_of_errors_has_a_place() {
        use ErrorClass::{
            Business, Dependency, Fatal, Panic, Poison, Throttled, Timeout, Transient,
        };
        for class in [
            Transient, Throttled, Dependency, Timeout, Panic, Poison, Business, Fatal,
        ] {
            assert!(ENDS.contains(&class.name()), "{class}");
        }
        assert_eq!(ENDS[DEAD_LETTERED], "dead_lettered");
        assert_eq!(ENDS[OTHER], "other");
    }
}
