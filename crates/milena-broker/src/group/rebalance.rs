//! A rebalance of a classic group. It waits for all members to join, then chooses the assignor and
//! the leader.

use std::time::Duration;

use bytes::Bytes;
use milena_core::ErrorCode;
use tokio::time::Instant;

use super::group_state::GroupState;
use super::member::Member;
use super::reply::Reply;
use super::state::Group;

impl Group {
    /// Begins a rebalance. All members have to join again.
    pub(super) fn prepare_rebalance(&mut self, now: Instant) {
        let mut replies = Vec::new();
        for member in &mut self.members {
            if let Some(ticket) = member.syncing.take() {
                member.renew(now);
                replies.push((ticket, Reply::Sync(Err(ErrorCode::REBALANCE_IN_PROGRESS))));
            }
            if self.state == GroupState::CompletingRebalance {
                member.assignment = Bytes::new();
            }
        }
        self.replies.extend(replies);
        self.state = GroupState::PreparingRebalance;
        self.timers.end_first();
        self.timers.begin_phase(now + self.rebalance_timeout());
    }

    /// Delays the first rebalance of an empty group. Each further first member extends the delay.
    pub(super) fn wait_for_more(&mut self, now: Instant, was_empty: bool, delay: Duration) {
        if was_empty && !delay.is_zero() {
            let timeout = self.rebalance_timeout();
            self.timers.delay_first(now, delay, timeout);
        } else {
            self.timers.extend_first(now);
        }
    }

    /// Ends the joining phase if all members have joined and the first delay is over.
    pub(super) fn complete_if_all_joined(&mut self, now: Instant) {
        let all =
            !self.timers.expects() && self.members.iter().all(|member| member.joining.is_some());
        if self.state == GroupState::PreparingRebalance && !self.timers.delays_first() && all {
            self.complete(now);
        }
    }

    /// Ends the joining phase with the members that have joined.
    pub(super) fn complete(&mut self, now: Instant) {
        // A static member that is late keeps its place until its session ends (KIP-345).
        self.members
            .retain(|member| member.joining.is_some() || member.instance_id.is_some());
        self.timers.end_first();
        if self.members.is_empty() {
            self.state = GroupState::Empty;
            self.generation = next(self.generation);
            self.timers.end_phase();
            self.protocol = None;
            self.leader = None;
            return;
        }
        // Only static members are left and none has joined, so the phase is extended.
        let Some(first) = self.members.iter().find(|member| member.joining.is_some()) else {
            self.timers.begin_phase(now + self.rebalance_timeout());
            return;
        };
        let is_here = |id: &String| {
            self.members
                .iter()
                .any(|member| member.id == *id && member.joining.is_some())
        };
        if !self.leader.as_ref().is_some_and(is_here) {
            self.leader = Some(first.id.clone());
        }
        self.generation = next(self.generation);
        self.protocol = self.vote();
        self.state = GroupState::CompletingRebalance;
        self.timers.begin_phase(now + self.rebalance_timeout());
        let joined: Vec<(u64, String)> = self
            .members
            .iter_mut()
            .filter_map(|member| {
                member.renew(now);
                Some((member.joining.take()?, member.id.clone()))
            })
            .collect();
        for (ticket, id) in joined {
            let reply = self.joined(&id);
            self.replies.push((ticket, Reply::Join(reply)));
        }
    }

    /// Ends the present phase, whose time is over, without the missing members.
    pub(super) fn end_phase(&mut self, now: Instant) {
        match self.state {
            GroupState::PreparingRebalance => {
                self.timers.drop_all();
                self.complete(now);
            }
            GroupState::CompletingRebalance => self.drop_silent(now),
            _ => self.timers.end_phase(),
        }
    }

    /// Removes the members that never asked for their assignment, which begins a rebalance of the
    /// rest.
    fn drop_silent(&mut self, now: Instant) {
        self.timers.end_phase();
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

    /// Returns the assignor that most members prefer, of those that all members know.
    pub(super) fn vote(&self) -> Option<String> {
        let knows =
            |member: &Member, name: &str| member.protocols.iter().any(|(known, _)| known == name);
        let common = |name: &&String| self.members.iter().all(|member| knows(member, name));
        let mut votes: Vec<(&String, usize)> = Vec::new();
        for member in &self.members {
            let Some(best) = member.protocols.iter().map(|(name, _)| name).find(common) else {
                continue;
            };
            match votes.iter_mut().find(|(name, _)| *name == best) {
                Some((_, count)) => *count += 1,
                None => votes.push((best, 1)),
            }
        }
        votes
            .into_iter()
            .rev()
            .max_by_key(|(_, count)| *count)
            .map(|(name, _)| name.clone())
    }

    /// Returns the longest rebalance timeout of the members.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        let longest = self
            .members
            .iter()
            .map(|member| member.rebalance_timeout)
            .max();
        longest.unwrap_or(Duration::ZERO)
    }
}

/// Returns the next generation. After the largest one comes 1.
fn next(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(1)
}
