//! JoinGroup. It decides who may join, and when a join begins a rebalance.

use std::time::Duration;

use bytes::Bytes;
use milena_core::ErrorCode;
use tokio::time::Instant;

use super::group_state::GroupState;
use super::member::{Identity, Member, Ticket};
use super::reply::{JoinReply, Reply};
use super::state::Group;

/// A JoinGroup request.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    /// The member.
    pub(crate) who: Identity,
    /// The id for a new member.
    pub(crate) new_id: String,
    /// True if a new member must first come back with its id (KIP-394, from version 4 on).
    pub(crate) id_first: bool,
    /// True if the client can skip the assignment (KIP-814, from version 9 on).
    pub(crate) can_skip: bool,
    /// The client id.
    pub(crate) client_id: String,
    /// The client's address.
    pub(crate) client_host: String,
    /// The time after which a silent member is removed.
    pub(crate) session_timeout: Duration,
    /// The time that a rebalance waits for the member.
    pub(crate) rebalance_timeout: Duration,
    /// The kind of members, `consumer` for consumers.
    pub(crate) protocol_type: String,
    /// The assignors that the member offers, best first, each with its subscription.
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// The time that a group without members waits for more.
    pub(crate) initial_delay: Duration,
}

impl Group {
    /// Handles a join. The reply to `ticket` comes at once, or when all members have joined.
    pub(crate) fn join(&mut self, now: Instant, request: Joining, ticket: Ticket) {
        if let Err((code, id)) = self.try_join(now, request, ticket) {
            self.replies
                .push((ticket, Reply::Join(JoinReply::refused(code, &id))));
        }
    }

    /// Handles a join, or returns the error and the member's id.
    fn try_join(
        &mut self,
        now: Instant,
        request: Joining,
        ticket: Ticket,
    ) -> Result<(), (ErrorCode, String)> {
        let asked_id = request.who.member_id.clone();
        let refused = |code| Err((code, asked_id.clone()));
        if request.protocols.is_empty() || request.protocol_type.is_empty() || !self.fits(&request)
        {
            return refused(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        // A group with members of both protocols is not modelled.
        if self.has_consumers() {
            return refused(ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
        }
        self.consumer = None;
        if asked_id.is_empty() {
            return self.join_new(now, request, ticket);
        }
        if self.timers.arrived(&asked_id) {
            self.add(now, asked_id, request, ticket);
            return Ok(());
        }
        if let Err(code) = self.check_member(&request.who) {
            return refused(code);
        }
        match self.state {
            GroupState::Empty
            | GroupState::Dead
            | GroupState::Assigning
            | GroupState::Reconciling => refused(ErrorCode::UNKNOWN_MEMBER_ID),
            GroupState::PreparingRebalance => {
                self.rejoin(now, &asked_id, request, ticket);
                Ok(())
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                let is_leader = self.leader.as_deref() == Some(asked_id.as_str());
                let same = self
                    .member(&asked_id)
                    .is_some_and(|member| member.protocols == request.protocols);
                let repeated =
                    same && (!is_leader || self.state == GroupState::CompletingRebalance);
                if repeated {
                    // The answer was lost, or a follower asks again. Nothing has changed, so the
                    // same answer is sent.
                    if let Some(member) = self.member(&asked_id) {
                        member.renew(now);
                    }
                    let reply = self.joined(&asked_id);
                    self.replies.push((ticket, Reply::Join(reply)));
                } else {
                    self.rejoin(now, &asked_id, request, ticket);
                }
                Ok(())
            }
        }
    }

    /// Handles the join of a member without an id.
    fn join_new(
        &mut self,
        now: Instant,
        request: Joining,
        ticket: Ticket,
    ) -> Result<(), (ErrorCode, String)> {
        let new_id = request.new_id.clone();
        if let Some(instance) = &request.who.instance_id {
            match self.instance(instance).map(|member| member.id.clone()) {
                Some(old_id) => self.replace(now, &old_id, &new_id, request, ticket),
                None => self.add(now, new_id, request, ticket),
            }
            return Ok(());
        }
        if request.id_first {
            self.timers
                .expect(new_id.clone(), now + request.session_timeout);
            return Err((ErrorCode::MEMBER_ID_REQUIRED, new_id));
        }
        self.add(now, new_id, request, ticket);
        Ok(())
    }

    /// Returns true if the member's protocol type is the group's, and all other members know one of
    /// its assignors.
    fn fits(&self, request: &Joining) -> bool {
        let others: Vec<&Member> = self
            .members
            .iter()
            .filter(|member| !is_same(member, &request.who))
            .collect();
        if others.is_empty() {
            return true;
        }
        let known_by_all = |name: &str| {
            others
                .iter()
                .all(|member| member.protocols.iter().any(|(known, _)| known == name))
        };
        self.protocol_type.as_deref() == Some(request.protocol_type.as_str())
            && request.protocols.iter().any(|(name, _)| known_by_all(name))
    }

    /// Adds a member, and begins a rebalance or joins the present one.
    fn add(&mut self, now: Instant, id: String, request: Joining, ticket: Ticket) {
        if self.members.is_empty() {
            self.protocol_type = Some(request.protocol_type.clone());
        }
        let was_empty = self.state == GroupState::Empty;
        let delay = request.initial_delay;
        let session_ends = now + request.session_timeout;
        self.members.push(Member {
            id,
            instance_id: request.who.instance_id,
            client_id: request.client_id,
            client_host: request.client_host,
            session_timeout: request.session_timeout,
            rebalance_timeout: request.rebalance_timeout,
            protocols: request.protocols,
            assignment: Bytes::new(),
            joining: Some(ticket),
            syncing: None,
            session_ends,
        });
        if self.state != GroupState::PreparingRebalance {
            self.prepare_rebalance(now);
        }
        self.wait_for_more(now, was_empty, delay);
        self.complete_if_all_joined(now);
    }

    /// Lets a known member join again, which begins a rebalance.
    fn rejoin(&mut self, now: Instant, id: &str, request: Joining, ticket: Ticket) {
        let earlier = self.member(id).and_then(|member| {
            member.protocols = request.protocols;
            member.session_timeout = request.session_timeout;
            member.rebalance_timeout = request.rebalance_timeout;
            member.renew(now);
            member.joining.replace(ticket)
        });
        if let Some(earlier) = earlier {
            // If a member has two requests, only the newer one gets the result.
            let reply = JoinReply::refused(ErrorCode::REBALANCE_IN_PROGRESS, id);
            self.replies.push((earlier, Reply::Join(reply)));
        }
        if self.state != GroupState::PreparingRebalance {
            self.prepare_rebalance(now);
        }
        self.complete_if_all_joined(now);
    }

    /// Replaces a static member that came back without its id. The new id takes its place, and the
    /// old one is fenced.
    fn replace(
        &mut self,
        now: Instant,
        old_id: &str,
        new_id: &str,
        request: Joining,
        ticket: Ticket,
    ) {
        let old_leader = self.leader.clone();
        let Some(member) = self.member(old_id) else {
            return;
        };
        let before = member.clone();
        new_id.clone_into(&mut member.id);
        member.joining = None;
        member.syncing = None;
        member.protocols.clone_from(&request.protocols);
        member.renew(now);
        self.answer_gone(&before, ErrorCode::FENCED_INSTANCE_ID);
        let was_leader = old_leader.as_deref() == Some(old_id);
        if was_leader {
            self.leader = Some(new_id.to_owned());
        }
        if self.state != GroupState::Stable || self.vote() != self.protocol {
            self.rejoin(now, new_id, request, ticket);
            return;
        }
        // The assignment stays. A restart causes no rebalance (KIP-345), even with another
        // subscription.
        let mut reply = self.joined(new_id);
        if was_leader {
            if request.can_skip {
                reply.skip_assignment = true;
            } else {
                // A leader that does not know KIP-814 would assign. Naming another leader keeps it
                // from that.
                reply.leader = old_id.to_owned();
                reply.members = Vec::new();
            }
        }
        self.replies.push((ticket, Reply::Join(reply)));
    }

    /// Returns the answer that a member gets in the present generation.
    pub(super) fn joined(&self, id: &str) -> JoinReply {
        let leader = self.leader.clone().unwrap_or_default();
        let members = if leader == id {
            self.members
                .iter()
                .map(|member| {
                    let metadata = member.metadata(self.protocol.as_deref());
                    (member.id.clone(), member.instance_id.clone(), metadata)
                })
                .collect()
        } else {
            Vec::new()
        };
        JoinReply {
            error: None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader,
            skip_assignment: false,
            member_id: id.to_owned(),
            members,
        }
    }
}

/// Returns true if the member has this id or this static identity.
fn is_same(member: &Member, who: &Identity) -> bool {
    member.id == who.member_id
        || (member.instance_id.is_some() && member.instance_id == who.instance_id)
}
