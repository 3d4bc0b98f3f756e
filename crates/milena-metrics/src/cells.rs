//! The cells of one lane's route: what it did, counted where no other lane writes.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_core::ErrorClass;

use crate::buckets::NANOS;

/// Counts attempts and records by how they ended.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    attempts: [OnceLock<Box<Times>>; ENDS.len()],
    records: [OnceLock<Box<Times>>; ENDS.len()],
    /// Records that count as an attempt, too.
    at_once: [OnceLock<Box<Times>>; ENDS.len()],
    retries: AtomicU64,
}

/// A histogram of times; the last bucket is what is longer than all bounds. Shares no cache line with another lane's.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Times {
    buckets: [AtomicU64; NANOS.len() + 1],
    nanos: AtomicU64,
}

/// How an attempt or a record may end: outcomes, then classes of errors.
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

/// The place of dead letters among the [`ENDS`].
pub(crate) const DEAD_LETTERED: usize = 4;
const OTHER: usize = 8;

impl Cells {
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

    pub(crate) fn settled_at_once(&self, elapsed: Duration, outcome: &'static str) {
        note(&self.at_once, outcome, elapsed);
    }

    pub(crate) fn record(&self, elapsed: Duration, outcome: &'static str) {
        note(&self.records, outcome, elapsed);
    }
}

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

/// What several lanes did, added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) attempts: [Option<Sum>; ENDS.len()],
    pub(crate) records: [Option<Sum>; ENDS.len()],
    pub(crate) retries: u64,
}

/// A histogram that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Not cumulative; the last one is what is longer than all bounds.
    pub(crate) buckets: [u64; NANOS.len() + 1],
    pub(crate) nanos: u64,
}

impl Totals {
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
