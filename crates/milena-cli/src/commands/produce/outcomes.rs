//! The outcomes of sent records.

use milena::{Error, Persistence};

use crate::failure::Failure;

/// The outcomes of sent records, by their number in the input.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// The number of acknowledged records.
    acknowledged: u64,
    /// Records that were refused or given up, in the order of their outcomes. Consecutive records
    /// with the same error are one run, because millions may fail when a broker goes away.
    failed: Vec<Run>,
}

/// Consecutive records that failed with the same error.
#[derive(Debug)]
struct Run {
    /// The number of the first record.
    first: u64,
    /// The number of the last record.
    last: u64,
    /// The error of each.
    error: Error,
}

impl Run {
    fn count(&self) -> u64 {
        self.last - self.first + 1
    }
}

impl Outcomes {
    /// Notes the outcome of one record.
    pub(super) fn note<T>(&mut self, number: u64, outcome: Result<T, Error>) {
        let error = match outcome {
            Ok(_) => {
                self.acknowledged += 1;
                return;
            }
            Err(error) => error,
        };
        match self.failed.last_mut() {
            Some(run) if run.last + 1 == number && is_alike(&run.error, &error) => {
                run.last = number;
            }
            _ => self.failed.push(Run {
                first: number,
                last: number,
                error,
            }),
        }
    }

    /// Returns true if a record failed.
    pub(super) fn has_failures(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Returns the number of acknowledged records.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Prints the number of each record that failed. Records with the same error share a line.
    /// `gave_up` means that some had no answer in time.
    ///
    /// # Errors
    /// If a record failed.
    pub(super) fn told(mut self, gave_up: bool) -> Result<(), Failure> {
        self.failed.sort_by_key(|run| run.first);
        let Some(first) = self.failed.first() else {
            return Ok(());
        };
        let failure = Failure::from(first.error.clone());
        let failure = match gave_up {
            true => Failure::unreached(format!("no answer came in time: {failure}")),
            false => failure,
        };
        if self.failed.len() == 1 && first.count() == 1 {
            return Err(failure.before(format!("record {}", first.first)));
        }
        let mut groups: Vec<(String, Vec<(u64, u64)>)> = Vec::new();
        for run in &self.failed {
            let words = Failure::from(run.error.clone()).to_string();
            let has_room = groups.len() < MOST_TOLD;
            match groups.iter_mut().find(|(known, _)| *known == words) {
                Some((_, runs)) => add(runs, run),
                None if has_room => groups.push((words, vec![(run.first, run.last)])),
                None => {}
            }
        }
        for (words, runs) in &groups {
            let noun = match runs[..] {
                [(first, last)] if first == last => "record",
                _ => "records",
            };
            crate::complain(&format!("{noun} {}: {words}", ranges(runs)));
        }
        let (mut not, mut possibly) = (0, 0);
        for run in &self.failed {
            match run.error.persistence() {
                Some(Persistence::PossiblyWritten) => possibly += run.count(),
                Some(Persistence::NotWritten) | None => not += run.count(),
            }
        }
        Err(failure.say(format!(
            "{} records were acknowledged, {not} were not written, {possibly} were possibly written",
            self.acknowledged,
        )))
    }
}

/// Returns true if two errors have the same text.
fn is_alike(one: &Error, other: &Error) -> bool {
    let about = |error: &Error| (error.kind(), error.persistence(), error.place().partition);
    about(one) == about(other)
        && one.message() == other.message()
        && one.place().topic == other.place().topic
}

/// Adds a run, and joins it with the one before it if there is no gap.
fn add(runs: &mut Vec<(u64, u64)>, run: &Run) {
    match runs.last_mut() {
        Some((_, last)) if *last + 1 == run.first => *last = run.last,
        _ => runs.push((run.first, run.last)),
    }
}

/// Writes runs of numbers as `1, 3-5`.
fn ranges(runs: &[(u64, u64)]) -> String {
    let told = runs
        .iter()
        .take(MOST_TOLD)
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        });
    let mut told = told.collect::<Vec<_>>().join(", ");
    if runs.len() > MOST_TOLD {
        told.push_str(", ...");
    }
    told
}

/// The largest number of different errors, and of runs per error, that are printed.
const MOST_TOLD: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use milena::ErrorKind;

    #[test]
    fn records_that_fail_alike_are_one_run() {
        let mut outcomes = Outcomes::default();
        let error = |what: &'static str| Error::new(ErrorKind::Timeout, what);
        for number in [3, 4, 5] {
            outcomes.note::<()>(number, Err(error("late")));
        }
        outcomes.note(6, Ok(()));
        outcomes.note::<()>(7, Err(error("late")));
        outcomes.note::<()>(8, Err(error("other")));
        let mut runs = Vec::new();
        outcomes.failed.iter().for_each(|run| add(&mut runs, run));
        assert_eq!(outcomes.failed.len(), 3);
        assert_eq!(ranges(&runs), "3-5, 7-8");
        assert_eq!(outcomes.acknowledged(), 1);
    }
}
