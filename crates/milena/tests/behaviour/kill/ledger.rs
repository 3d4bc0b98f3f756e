//! The figures of a run.

use std::fmt;
use std::time::Duration;

/// The figures of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) records: usize,
    pub(super) poison: usize,
    /// The records that were processed, including poison that became dead letters.
    pub(super) processed: usize,
    pub(super) repeated: usize,
    /// The records that ended before an earlier record of their partition.
    pub(super) overtaking: usize,
    pub(super) dead_letters: usize,
    pub(super) duplicate_letters: usize,
    pub(super) transient_retries: usize,
    pub(super) dependency_failures: usize,
    pub(super) outages: usize,
    pub(super) openings: usize,
    pub(super) kills: usize,
    /// The times that the group removed a running worker.
    pub(super) losses: usize,
    pub(super) commits: usize,
    pub(super) commits_checked: usize,
    pub(super) lost: usize,
    pub(super) out_of_order: usize,
    pub(super) wrong: usize,
    pub(super) elapsed: Duration,
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.records as f64 / seconds;
        let rows = [
            ("records", grouped(self.records)),
            ("processed, the first time", grouped(self.processed)),
            ("processed again after a kill", grouped(self.repeated)),
            ("ended before an earlier one", grouped(self.overtaking)),
            ("poison", grouped(self.poison)),
            ("dead letters", grouped(self.dead_letters)),
            ("dead letters again", grouped(self.duplicate_letters)),
            ("transient retries", grouped(self.transient_retries)),
            ("dependency failures", grouped(self.dependency_failures)),
            ("outages", grouped(self.outages)),
            ("breaker openings", grouped(self.openings)),
            ("kills", grouped(self.kills)),
            ("memberships lost alive", grouped(self.losses)),
            ("commits seen", grouped(self.commits)),
            ("commits checked", grouped(self.commits_checked)),
            ("lost", grouped(self.lost)),
            ("out of order", grouped(self.out_of_order)),
            ("seconds", format!("{seconds:.1}")),
            ("records/s", grouped(rate as usize)),
        ];
        writeln!(f, "+------------------------------+-----------+")?;
        for (name, figure) in rows {
            writeln!(f, "| {name:<28} | {figure:>9} |")?;
        }
        write!(f, "+------------------------------+-----------+")
    }
}

/// Formats a number with a comma at each thousand.
fn grouped(number: usize) -> String {
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

#[test]
fn a_ledger_is_a_table_with_thousands_set_apart() {
    let ledger = Ledger {
        records: 2_000_000,
        elapsed: Duration::from_secs(20),
        ..Ledger::default()
    };
    let text = ledger.to_string();
    assert!(
        text.contains("| records                      | 2,000,000 |"),
        "{text}"
    );
    assert!(
        text.contains("| records/s                    |   100,000 |"),
        "{text}"
    );
    let width = text.lines().next().unwrap().len();
    assert!(text.lines().all(|line| line.len() == width), "{text}");
}
