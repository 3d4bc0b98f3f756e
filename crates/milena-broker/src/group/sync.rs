//! SyncGroup. The leader sends the assignment, and each member gets its part.

use bytes::Bytes;
use milena_core::ErrorCode;
use tokio::time::Instant;

use super::group_state::GroupState;
use super::member::{Identity, Ticket};
use super::reply::{Reply, Synced};
use super::state::Group;

/// A SyncGroup request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Syncing {
    /// The member.
    pub(crate) who: Identity,
    /// The generation that it joined.
    pub(crate) generation: i32,
    /// The kind of members. `None` before version 5.
    pub(crate) protocol_type: Option<String>,
    /// The assignor. `None` before version 5.
    pub(crate) protocol: Option<String>,
    /// The part of each member by member id. Empty for all but the leader.
    pub(crate) assignments: Vec<(String, Bytes)>,
}

impl Group {
    /// Handles a sync. The reply to `ticket` comes at once, or when the leader has assigned.
    pub(crate) fn sync(&mut self, now: Instant, request: Syncing, ticket: Ticket) {
        if let Err(code) = self.try_sync(now, request, ticket) {
            self.replies.push((ticket, Reply::Sync(Err(code))));
        }
    }

    /// Handles a sync, or returns the error.
    fn try_sync(
        &mut self,
        now: Instant,
        request: Syncing,
        ticket: Ticket,
    ) -> Result<(), ErrorCode> {
        self.check_member(&request.who)?;
        self.check_generation(request.generation)?;
        let differs =
            |theirs: &Option<String>, ours: &Option<String>| theirs.is_some() && theirs != ours;
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol, &self.protocol)
        {
            return Err(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        let id = request.who.member_id;
        match self.state {
            GroupState::Empty
            | GroupState::Dead
            | GroupState::Assigning
            | GroupState::Reconciling => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            GroupState::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            GroupState::CompletingRebalance => {
                let earlier = self.member(&id).and_then(|member| {
                    member.renew(now);
                    member.syncing.replace(ticket)
                });
                if let Some(earlier) = earlier {
                    self.replies
                        .push((earlier, Reply::Sync(Err(ErrorCode::REBALANCE_IN_PROGRESS))));
                }
                if self.leader.as_deref() == Some(id.as_str()) {
                    self.assign(now, &request.assignments);
                }
                Ok(())
            }
            GroupState::Stable => {
                let assignment = self.member(&id).map(|member| {
                    member.renew(now);
                    member.assignment.clone()
                });
                let reply = self.synced(assignment.unwrap_or_default());
                self.replies.push((ticket, Reply::Sync(Ok(reply))));
                Ok(())
            }
        }
    }

    /// Takes in the leader's assignment. The group is stable, and all waiting members get their
    /// part.
    fn assign(&mut self, now: Instant, assignments: &[(String, Bytes)]) {
        self.state = GroupState::Stable;
        for member in &mut self.members {
            let given = assignments.iter().find(|(id, _)| *id == member.id);
            member.assignment = given
                .map(|(_, assignment)| assignment.clone())
                .unwrap_or_default();
        }
        self.timers.end_phase();
        let waiting: Vec<(Ticket, Bytes)> = self
            .members
            .iter_mut()
            .filter_map(|member| {
                let ticket = member.syncing.take()?;
                member.renew(now);
                Some((ticket, member.assignment.clone()))
            })
            .collect();
        for (ticket, assignment) in waiting {
            let reply = self.synced(assignment);
            self.replies.push((ticket, Reply::Sync(Ok(reply))));
        }
    }

    /// Makes the reply with a member's part.
    fn synced(&self, assignment: Bytes) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }
    }
}
