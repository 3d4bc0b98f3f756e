//! The state of a group. Every change is a function of the request and the time.

use milena_core::ErrorCode;
use tokio::time::Instant;

use super::committed::CommittedOffsets;
use super::consumer::ConsumerGroup;
use super::group_state::GroupState;
use super::member::{Identity, Member, Ticket};
use super::reply::{JoinReply, Reply};
use super::timers::Timers;

/// A group of either protocol, or one that only keeps committed offsets.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// The state of the classic part.
    pub(super) state: GroupState,
    /// The generation. Grows by one with each rebalance, and is 0 before the first.
    pub(super) generation: i32,
    /// The kind of members. `None` before the first member.
    pub(super) protocol_type: Option<String>,
    /// The chosen assignor. `None` without members.
    pub(super) protocol: Option<String>,
    /// The member id of the leader. `None` without members, and after the leader left.
    pub(super) leader: Option<String>,
    /// The members, in the order in which they joined.
    pub(super) members: Vec<Member>,
    /// The times at which awaited members are dropped and phases of a rebalance end.
    pub(super) timers: Timers,
    /// The committed offsets by topic and partition.
    pub(crate) offsets: CommittedOffsets,
    /// The part of the consumer protocol. `None` until a member of it joins. While it has members,
    /// the classic part is empty.
    pub(super) consumer: Option<ConsumerGroup>,
    /// Replies to parked requests that are due. The coordinator takes and delivers them after each
    /// change.
    pub(super) replies: Vec<(Ticket, Reply)>,
    /// The broker that the members last joined at, -1 before.
    pub(super) node: i32,
}

impl Group {
    /// Makes an empty group.
    pub(crate) fn new() -> Self {
        Self {
            state: GroupState::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Vec::new(),
            timers: Timers::default(),
            offsets: CommittedOffsets::default(),
            consumer: None,
            replies: Vec::new(),
            node: -1,
        }
    }

    /// Returns the member with this id.
    pub(super) fn member(&mut self, id: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// Returns true if a member has this id.
    pub(super) fn has(&self, id: &str) -> bool {
        self.members.iter().any(|member| member.id == id)
    }

    /// Returns the member that holds a static identity (KIP-345).
    pub(super) fn instance(&self, instance_id: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    /// Checks that the request comes from a member, and from the present holder of its static
    /// identity.
    pub(super) fn check_member(&self, who: &Identity) -> Result<(), ErrorCode> {
        if let Some(instance) = &who.instance_id {
            return match self.instance(instance) {
                None => Err(ErrorCode::UNKNOWN_MEMBER_ID),
                Some(member) if member.id != who.member_id => Err(ErrorCode::FENCED_INSTANCE_ID),
                Some(_) => Ok(()),
            };
        }
        if self.has(&who.member_id) {
            Ok(())
        } else {
            Err(ErrorCode::UNKNOWN_MEMBER_ID)
        }
    }

    /// Checks that the request is of the present generation.
    pub(super) fn check_generation(&self, generation: i32) -> Result<(), ErrorCode> {
        if generation == self.generation {
            Ok(())
        } else {
            Err(ErrorCode::ILLEGAL_GENERATION)
        }
    }

    /// Renews a member's session between rebalances.
    pub(crate) fn heartbeat(
        &mut self,
        now: Instant,
        who: &Identity,
        generation: i32,
    ) -> Result<(), ErrorCode> {
        self.check_member(who)?;
        self.check_generation(generation)?;
        if let Some(member) = self.member(&who.member_id) {
            member.renew(now);
        }
        match self.state {
            GroupState::PreparingRebalance => Err(ErrorCode::REBALANCE_IN_PROGRESS),
            GroupState::Empty
            | GroupState::Dead
            | GroupState::Assigning
            | GroupState::Reconciling => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            GroupState::CompletingRebalance | GroupState::Stable => Ok(()),
        }
    }

    /// Removes a member that leaves. A static member may be named by its static identity alone.
    pub(crate) fn leave(&mut self, now: Instant, who: &Identity) -> Result<(), ErrorCode> {
        if let Some(instance) = &who.instance_id {
            let member = self
                .instance(instance)
                .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
            if !who.member_id.is_empty() && who.member_id != member.id {
                return Err(ErrorCode::FENCED_INSTANCE_ID);
            }
            let id = member.id.clone();
            self.remove(now, &id);
            return Ok(());
        }
        if self.timers.arrived(&who.member_id) {
            self.complete_if_all_joined(now);
            return Ok(());
        }
        if !self.has(&who.member_id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.remove(now, &who.member_id);
        Ok(())
    }

    /// Removes a member and begins a rebalance of the others.
    pub(super) fn remove(&mut self, now: Instant, id: &str) {
        let Some(at) = self.members.iter().position(|member| member.id == id) else {
            return;
        };
        let gone = self.members.remove(at);
        self.answer_gone(&gone, ErrorCode::UNKNOWN_MEMBER_ID);
        if self.leader.as_deref() == Some(id) {
            self.leader = None;
        }
        match self.state {
            GroupState::Stable | GroupState::CompletingRebalance => self.prepare_rebalance(now),
            _ => {}
        }
        self.complete_if_all_joined(now);
    }

    /// Answers the parked requests of a member that was removed.
    pub(super) fn answer_gone(&mut self, gone: &Member, code: ErrorCode) {
        if let Some(ticket) = gone.joining {
            self.replies
                .push((ticket, Reply::Join(JoinReply::refused(code, &gone.id))));
        }
        if let Some(ticket) = gone.syncing {
            self.replies.push((ticket, Reply::Sync(Err(code))));
        }
    }

    /// Answers all parked requests with `code`. Their members stay.
    pub(crate) fn release(&mut self, now: Instant, code: ErrorCode) {
        let mut replies = Vec::new();
        for member in &mut self.members {
            if let Some(ticket) = member.joining.take() {
                replies.push((ticket, Reply::Join(JoinReply::refused(code, &member.id))));
            }
            if let Some(ticket) = member.syncing.take() {
                replies.push((ticket, Reply::Sync(Err(code))));
            }
            member.renew(now);
        }
        self.replies.extend(replies);
    }

    /// Returns the time at which [`tick`](Self::tick) has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let sessions = self
            .members
            .iter()
            .filter(|member| !member.is_parked())
            .map(|member| member.session_ends);
        let consumer = self
            .consumer
            .as_ref()
            .and_then(ConsumerGroup::next_deadline);
        sessions.chain(consumer).chain(self.timers.next()).min()
    }

    /// Runs everything that is due by `now`.
    pub(crate) fn tick(&mut self, now: Instant) {
        if let Some(group) = &mut self.consumer {
            group.tick(now);
        }
        if self.timers.drop_late(now) {
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
        if self.timers.first_is_over(now) {
            self.timers.end_first();
            self.complete_if_all_joined(now);
        }
        if self.timers.phase_is_over(now) {
            self.end_phase(now);
        }
    }

    /// Takes the replies to parked requests that are due.
    pub(crate) fn take_replies(&mut self) -> Vec<(Ticket, Reply)> {
        std::mem::take(&mut self.replies)
    }

    /// Notes the broker that the members joined at.
    pub(crate) fn serve_at(&mut self, node: i32) {
        self.node = node;
    }

    /// Returns the broker that the members joined at.
    pub(crate) fn served_at(&self) -> i32 {
        self.node
    }

    /// Returns true if there is nothing to keep. A group that once had members stays, as in Kafka,
    /// which keeps it for days.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.generation == 0
            && self.consumer.is_none()
            && self.members.is_empty()
            && !self.timers.expects()
            && self.offsets.is_empty()
    }

    /// Returns true if there are members of either protocol, or ids of members that have to come
    /// back.
    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty() || self.timers.expects() || self.has_consumers()
    }

    /// Returns true if there are members of the consumer protocol.
    pub(crate) fn has_consumers(&self) -> bool {
        self.consumer
            .as_ref()
            .is_some_and(|group| !group.is_empty())
    }

    /// Returns the part of the consumer protocol.
    pub(crate) fn as_consumer(&self) -> Option<&ConsumerGroup> {
        self.consumer.as_ref()
    }

    /// Returns the part of the consumer protocol, and makes one if needed. Returns `None` while the
    /// group has classic members.
    pub(crate) fn consumer_group(&mut self) -> Option<&mut ConsumerGroup> {
        if !self.members.is_empty() || self.timers.expects() {
            return None;
        }
        Some(self.consumer.get_or_insert_default())
    }

    /// Checks the member id and epoch that an OffsetFetch may carry (KIP-848). Classic groups skip
    /// the check, as in Kafka.
    pub(crate) fn may_read(&self, who: &Identity, epoch: i32) -> Result<(), ErrorCode> {
        match &self.consumer {
            Some(group) if self.members.is_empty() && !self.timers.expects() => {
                group.check(who, epoch)
            }
            _ => Ok(()),
        }
    }
}
