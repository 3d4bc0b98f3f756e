//! The results of the orders, as a table at the end and a check of the sums.

use std::fmt;
use std::time::Duration;

use milena::{Error, ErrorKind, Result};

/// The findings of an audit of the topics after a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The orders that the brokers acknowledged.
    pub placed: u64,
    /// The different orders in the topic of paid orders.
    pub paid: u64,
    /// The different orders in the topic of shipped orders.
    pub shipped: u64,
    /// The orders that took more than one attempt to be paid.
    pub retried: u64,
    /// The different orders in the dead letter topic, each with its cause.
    pub dead_lettered: u64,
    /// The orders that were neither shipped nor are dead letters.
    pub lost: u64,
    /// The orders that arrived more than once.
    pub duplicated: u64,
    /// The records that could not be understood.
    pub strange: u64,
    /// The records that were written and read in all stages together.
    pub records: u64,
    /// The time from the first order to the last.
    pub elapsed: Duration,
}

impl Report {
    /// Checks that the sums agree.
    ///
    /// # Errors
    /// An error that names the sums that do not agree.
    pub fn verdict(&self) -> Result<()> {
        let found = self.shipped + self.dead_lettered;
        let complaint = if self.lost > 0 {
            format!("{} orders are lost", self.lost)
        } else if self.placed != found {
            format!("{} orders were placed, but {found} were found", self.placed)
        } else if self.strange > 0 {
            format!("{} records could not be understood", self.strange)
        } else if self.paid != self.shipped {
            format!(
                "{} orders were paid, but {} were shipped",
                self.paid, self.shipped
            )
        } else {
            return Ok(());
        };
        let what = format!("the sums do not agree: {complaint}");
        Err(Error::new(ErrorKind::State, what))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(1e-3);
        let rate = (self.records as f64 / seconds).round() as u64;
        let line = "  +---------------+------------+";
        writeln!(f, "{line}")?;
        for (name, count) in [
            ("placed", self.placed),
            ("paid", self.paid),
            ("shipped", self.shipped),
            ("retried", self.retried),
            ("dead-lettered", self.dead_lettered),
            ("duplicated", self.duplicated),
            ("lost", self.lost),
            ("records/s", rate),
        ] {
            writeln!(f, "  | {name:<13} | {:>10} |", grouped(count))?;
        }
        f.write_str(line)
    }
}

/// Formats a number with a comma at each thousand.
fn grouped(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1_000), number % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Report = Report {
        placed: 1_000,
        paid: 994,
        shipped: 994,
        retried: 25,
        dead_lettered: 6,
        lost: 0,
        duplicated: 0,
        strange: 0,
        records: 4_000,
        elapsed: Duration::from_secs(1),
    };

    #[test]
    fn sums_that_agree_raise_no_complaint() {
        assert!(GOOD.verdict().is_ok());
    }

    #[test]
    fn every_kind_of_disagreement_is_named() {
        let (lost, placed, strange, paid) = (1, 1_001, 7, 995);
        for (report, named) in [
            (Report { lost, ..GOOD }, "lost"),
            (Report { placed, ..GOOD }, "1001"),
            (Report { strange, ..GOOD }, "7 records"),
            (Report { paid, ..GOOD }, "995"),
        ] {
            let complaint = report.verdict().unwrap_err().to_string();
            assert!(complaint.contains(named), "{complaint}");
        }
    }

    #[test]
    fn the_table_shows_numbers_in_groups() {
        let placed = 1_234_067;
        let table = Report { placed, ..GOOD }.to_string();
        assert!(table.contains("1,234,067"), "{table}");
    }
}
