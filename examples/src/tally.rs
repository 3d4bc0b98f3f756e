//! What has happened so far, counted; and the table at the end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts what happens to orders. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    placed: AtomicU64,
    validated: AtomicU64,
    paid: AtomicU64,
    shipped: AtomicU64,
    retried: AtomicU64,
}

macro_rules! counters {
    ($($count:ident, $name:ident, $doc:literal;)*) => {
        impl Tally {
            $(
                #[doc = concat!("Counts an order that was ", $doc, ".")]
                pub fn $count(&self) {
                    self.0.$name.fetch_add(1, Ordering::Relaxed);
                }

                #[doc = concat!("How many were ", $doc, ".")]
                #[must_use]
                pub fn $name(&self) -> u64 {
                    self.0.$name.load(Ordering::Relaxed)
                }
            )*
        }
    };
}

counters! {
    count_placed, placed, "placed";
    count_validated, validated, "found valid";
    count_paid, paid, "paid";
    count_shipped, shipped, "shipped";
    count_retried, retried, "paid only after another attempt";
}

impl Tally {
    /// The counts in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = "# HELP order_system_orders_total Orders by what happened to them.\n\
            # TYPE order_system_orders_total counter\n"
            .to_owned();
        for (state, count) in [
            ("placed", self.placed()),
            ("validated", self.validated()),
            ("paid", self.paid()),
            ("shipped", self.shipped()),
            ("retried", self.retried()),
        ] {
            text.push_str(&format!(
                "order_system_orders_total{{state=\"{state}\"}} {count}\n"
            ));
        }
        text
    }
}

/// What an audit of the topics found after a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Orders that the brokers acknowledged.
    pub placed: u64,
    /// Different orders in the topic of paid ones.
    pub paid: u64,
    /// Different orders in the topic of shipped ones.
    pub shipped: u64,
    /// Orders that took more than one attempt to be paid.
    pub retried: u64,
    /// Different orders in the dead letter topic, each with its cause.
    pub dead_lettered: u64,
    /// Orders that are in neither of both.
    pub lost: u64,
    /// Orders that arrived more than once.
    pub duplicated: u64,
    /// Records that no one can make sense of.
    pub strange: u64,
    /// Records that were written and read in all, over all stages.
    pub records: u64,
    /// How long it took, from the first order to the last.
    pub elapsed: Duration,
}

impl Audit {
    /// Why the sums do not agree, or `None` where they do.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        if self.lost > 0 {
            return Some(format!("{} orders are lost", self.lost));
        }
        if self.placed != self.shipped + self.dead_lettered {
            let found = self.shipped + self.dead_lettered;
            return Some(format!(
                "{} orders were placed, but {found} were found",
                self.placed
            ));
        }
        if self.strange > 0 {
            return Some(format!("{} records make no sense", self.strange));
        }
        if self.paid != self.shipped {
            return Some(format!(
                "{} orders were paid, but {} were shipped",
                self.paid, self.shipped
            ));
        }
        None
    }
}

impl fmt::Display for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64().max(1e-3);
        let rate = (self.records as f64 / seconds).round() as u64;
        writeln!(f, "  +---------------+------------+")?;
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
        write!(f, "  +---------------+------------+")
    }
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Audit {
        Audit {
            placed: 1_000,
            paid: 994,
            shipped: 994,
            dead_lettered: 6,
            ..Audit::default()
        }
    }

    #[test]
    fn sums_that_agree_raise_no_complaint() {
        assert_eq!(good().complaint(), None);
    }

    #[test]
    fn every_kind_of_disagreement_is_named() {
        assert!(
            Audit { lost: 1, ..good() }
                .complaint()
                .unwrap()
                .contains("lost")
        );
        assert!(
            Audit {
                placed: 1_001,
                ..good()
            }
            .complaint()
            .unwrap()
            .contains("1001")
        );
        assert!(
            Audit {
                paid: 995,
                ..good()
            }
            .complaint()
            .unwrap()
            .contains("995")
        );
    }

    #[test]
    fn the_table_shows_numbers_in_groups() {
        let table = Audit {
            placed: 1_234_567,
            ..good()
        }
        .to_string();
        assert!(table.contains("1,234,567"), "{table}");
    }
}
