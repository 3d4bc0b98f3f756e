//! What became of the records that were sent.

use milena::{Error, Persistence};

use crate::failure::Failure;

/// What became of the records that were sent, by their number in the input.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    acknowledged: u64,
    /// Records that were refused or given up, in their order.
    failed: Vec<(u64, Error)>,
}

impl Outcomes {
    pub(super) fn note<T>(&mut self, number: u64, outcome: Result<T, Error>) {
        match outcome {
            Ok(_) => self.acknowledged += 1,
            Err(error) => self.failed.push((number, error)),
        }
    }

    pub(super) fn has_failures(&self) -> bool {
        !self.failed.is_empty()
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Tells of each record that failed by its number, those with the same words together. `gave_up`: some had no answer in time.
    ///
    /// # Errors
    /// Where one failed.
    pub(super) fn told(mut self, gave_up: bool) -> Result<(), Failure> {
        self.failed.sort_by_key(|(number, _)| *number);
        let Some((number, first)) = self.failed.first().cloned() else {
            return Ok(());
        };
        let failure = match gave_up {
            true => Failure::unreached(format!("no answer came in time: {}", Failure::from(first))),
            false => Failure::from(first),
        };
        if self.failed.len() == 1 {
            return Err(failure.before(format!("record {number}")));
        }
        let mut groups: Vec<(String, Vec<u64>)> = Vec::new();
        for (number, error) in &self.failed {
            let words = Failure::from(error.clone()).to_string();
            let has_room = groups.len() < MOST_TOLD;
            match groups.iter_mut().find(|(known, _)| *known == words) {
                Some((_, numbers)) => numbers.push(*number),
                None if has_room => groups.push((words, vec![*number])),
                None => {}
            }
        }
        for (words, numbers) in &groups {
            let noun = if numbers.len() == 1 {
                "record"
            } else {
                "records"
            };
            crate::complain(&format!("{noun} {}: {words}", ranges(numbers)));
        }
        let written = |error: &Error| error.persistence() == Some(Persistence::PossiblyWritten);
        let doubtful = self
            .failed
            .iter()
            .filter(|(_, error)| written(error))
            .count();
        Err(failure.say(format!(
            "{} records were acknowledged, {} were not written, {doubtful} were possibly written",
            self.acknowledged,
            self.failed.len() - doubtful,
        )))
    }
}

/// Numbers in ascending order as `1, 3-5`.
fn ranges(numbers: &[u64]) -> String {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
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

/// How many different failures, and how many runs of numbers, are told.
const MOST_TOLD: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_told_as_one() {
        assert_eq!(ranges(&[1, 3, 4, 5, 9]), "1, 3-5, 9");
        assert_eq!(ranges(&[7]), "7");
    }
}
