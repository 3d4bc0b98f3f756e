//! Evens out the shares. A member with more partitions passes one on, through other members if
//! needed, until no move makes the shares more even.
#![expect(
    clippy::indexing_slicing,
    reason = "`steps` has one place for each member number of the plan"
)]

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::plan::Plan;

/// The step by which each member is reached. It holds the member that gives and the topic of the
/// partition that moves, `None` if the member is not reached.
type Steps = Vec<Option<(usize, usize)>>;

/// Moves partitions of `plan` until shares are as even as subscriptions allow.
pub(super) fn balance(plan: &mut Plan) {
    Balance { plan, moves: 0 }.run();
}

/// The moves that even out the shares of a plan.
struct Balance<'a> {
    /// The plan, which the moves change.
    plan: &'a mut Plan,
    /// Number of moves made. It has a bound for any input.
    moves: usize,
}

impl Balance<'_> {
    /// Moves partitions until no move makes the shares more even.
    ///
    /// Each move along a path takes one partition from a member and adds one to a member that has
    /// at least two fewer. This lowers the sum of the squares of all shares, so the loop ends on
    /// any input. The bound below is never reached.
    fn run(&mut self) {
        let bound = self
            .plan
            .partitions()
            .saturating_mul(self.plan.members() + 1);
        loop {
            let mut moved = false;
            // Start from the member with most partitions at each step. A member with fewer could
            // otherwise give partitions that it has to get back later.
            let mut givers: BTreeSet<_> = (0..self.plan.members()).collect();
            while let Some(giver) = givers
                .iter()
                .copied()
                .min_by_key(|member| (Reverse(self.plan.load(*member)), *member))
            {
                if self.moves < bound && self.pass_on(giver) {
                    moved = true;
                } else {
                    givers.remove(&giver);
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Passes one partition of `giver` on. Returns false if that makes no shares more even.
    fn pass_on(&mut self, giver: usize) -> bool {
        let enough = self.plan.load(giver);
        if enough < 2 {
            return false;
        }
        let mut steps: Steps = vec![None; self.plan.members()];
        let mut seen = BTreeSet::from([giver]);
        // Topics whose subscribers have all been seen. They lead to no new member.
        let mut done = BTreeSet::new();
        let mut ring = vec![giver];
        while !ring.is_empty() {
            let mut next = Vec::new();
            for member in ring {
                for (topic, held) in self.plan.held(member) {
                    if held.is_empty() || !done.insert(*topic) {
                        continue;
                    }
                    for other in self.plan.subscribers(*topic) {
                        if seen.insert(*other) {
                            steps[*other] = Some((member, *topic));
                            next.push(*other);
                        }
                    }
                }
            }
            let least = next
                .iter()
                .copied()
                .min_by_key(|member| self.plan.load(*member));
            if let Some(taker) = least
                && self.plan.load(taker) + 2 <= enough
            {
                self.walk(&steps, taker);
                return true;
            }
            ring = next;
        }
        false
    }

    /// Moves one partition along each step of the path to `taker`.
    fn walk(&mut self, steps: &Steps, taker: usize) {
        let mut to = taker;
        while let Some((from, topic)) = steps[to] {
            let held = self
                .plan
                .held(from)
                .get(&topic)
                .into_iter()
                .flatten()
                .copied();
            // Prefer a partition that the receiving member had before, then one that the giving
            // member did not have before.
            let best = held.min_by_key(|partition| match self.plan.before(*partition) {
                Some(before) if before == to => (0, *partition),
                Some(before) if before == from => (2, *partition),
                _ => (1, *partition),
            });
            let Some(partition) = best else { return };
            self.plan.give(partition, to);
            self.moves += 1;
            to = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sticky::plan::Claim;
    use crate::sticky::tests::{any_members, any_topics};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn balancing_takes_few_moves_on_any_input(members in any_members(), topics in any_topics()) {
            let claims = members.iter().map(|m| Claim { owned: m.owned.clone(), generation: m.generation });
            let mut plan = Plan::new(&members, claims.collect(), &topics);
            plan.place_free();
            let mut balance = Balance { plan: &mut plan, moves: 0 };
            balance.run();
            let moves = balance.moves;
            prop_assert!(moves <= plan.partitions() * members.len().max(1), "{moves} moves");
        }
    }
}
