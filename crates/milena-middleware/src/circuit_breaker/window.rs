//! Decides when a breaker opens, from the latest calls. Pure.

use std::collections::VecDeque;

/// The rule that opens a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// This many failures without a success between them.
    Consecutive(u32),
    /// A share of failures, 0 to 1, among the last `calls` calls, once there were that many.
    Rate { share: f64, calls: usize },
}

/// The latest calls, as far as the rule needs them.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// The rule that opens the breaker.
    rule: Rule,
    /// The failures since the last success.
    in_a_row: u32,
    /// The latest calls, true for a failure. Only filled for [`Rule::Rate`].
    calls: VecDeque<bool>,
    /// The failures among `calls`.
    failures: usize,
}

impl Window {
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            in_a_row: 0,
            calls: VecDeque::new(),
            failures: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.rule);
    }

    /// Returns true if a success changes nothing.
    pub(super) fn is_clean(&self) -> bool {
        matches!(self.rule, Rule::Consecutive(_)) && self.in_a_row == 0
    }

    /// Counts a call. Returns the reason to open if the rule is met now.
    pub(super) fn note(&mut self, failed: bool) -> Option<String> {
        self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
        match self.rule {
            Rule::Consecutive(limit) => {
                let text = || format!("{} failures in a row", self.in_a_row);
                (self.in_a_row >= limit).then(text)
            }
            Rule::Rate { share, calls } => {
                self.calls.push_back(failed);
                self.failures += usize::from(failed);
                if self.calls.len() > calls {
                    let gone = self.calls.pop_front().unwrap_or(false);
                    self.failures -= usize::from(gone);
                }
                let (failures, all) = (self.failures, self.calls.len());
                #[expect(clippy::cast_precision_loss, reason = "small counts")]
                let reached = all >= calls && failures as f64 >= share * all as f64;
                (reached && failed).then(|| format!("{failures} of the last {all} calls failed"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_open_and_a_success_between_them_counts_anew() {
        let mut window = Window::new(Rule::Consecutive(3));
        let opened: Vec<bool> = [true, true, false, true, true, true]
            .map(|failed| window.note(failed).is_some())
            .into();
        assert_eq!(opened, [false, false, false, false, false, true]);
    }

    #[test]
    fn a_share_of_failures_opens_only_once_there_were_enough_calls() {
        let rule = Rule::Rate {
            share: 0.5,
            calls: 4,
        };
        let mut window = Window::new(rule);
        let opened: Vec<bool> = [true, true, false, true, false, false, true, true]
            .map(|failed| window.note(failed).is_some())
            .into();
        assert_eq!(
            opened,
            [false, false, false, true, false, false, true, true]
        );
    }
}
