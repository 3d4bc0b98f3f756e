//! The timers of a group. Sessions end, and phases of a rebalance end.

use tokio::time::Instant;

use super::consumer::ConsumerGroup;
use super::group_state::GroupState;
use super::state::Group;

impl Group {
    /// Returns the time at which [`tick`](Self::tick) has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let sessions = self
            .members
            .iter()
            .filter(|member| !member.is_parked())
            .map(|member| member.session_ends);
        let first_wait = self.first_wait.map(|wait| wait.until);
        let consumer = self
            .consumer
            .as_ref()
            .and_then(ConsumerGroup::next_deadline);
        sessions
            .chain(self.pending.values().copied())
            .chain(first_wait)
            .chain(consumer)
            .chain(self.phase_ends)
            .min()
    }

    /// Runs everything that is due by `now`.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let Some(group) = &mut self.consumer {
            group.tick(now);
        }
        let pending_before = self.pending.len();
        self.pending.retain(|_, until| *until > now);
        if self.pending.len() < pending_before {
            self.complete_if_all_joined(now);
        }
        let dead: Vec<String> = self
            .members
            .iter()
            .filter(|member| !member.is_parked() && member.session_ends <= now)
            .map(|member| member.id.clone())
            .collect();
        for id in dead {
            self.remove(now, &id);
        }
        if self.first_wait.is_some_and(|wait| wait.until <= now) {
            self.first_wait = None;
            self.complete_if_all_joined(now);
        }
        if self.phase_ends.is_some_and(|end| end <= now) {
            match self.state {
                GroupState::PreparingRebalance => {
                    self.pending.clear();
                    self.complete(now);
                }
                GroupState::CompletingRebalance => self.drop_silent(now),
                _ => self.phase_ends = None,
            }
        }
    }

    /// Removes the members that never asked for their assignment, which begins a rebalance of the
    /// rest.
    fn drop_silent(&mut self, now: Instant) {
        self.phase_ends = None;
        let silent: Vec<String> = self
            .members
            .iter()
            .filter(|member| member.syncing.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in silent {
            self.remove(now, &id);
        }
    }
}
