//! A classic group as plain state: every change is a function of the request and the time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use milena_core::ErrorCode;
use tokio::time::Instant;

use super::commit::Committed;
use super::consumer::ConsumerGroup;
use super::join::JoinReply;
use super::member::{Identity, Member, Ticket};
use super::sync::SyncReply;
use super::view::GroupState;

/// A group of either protocol, or one that only keeps offsets.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(super) state: GroupState,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    /// In the order in which they joined.
    pub(super) members: Vec<Member>,
    /// Ids handed out to members that have not come back with them, and until when (KIP-394).
    pub(super) pending: HashMap<String, Instant>,
    /// When the present phase ends without those who are missing.
    pub(super) phase_ends: Option<Instant>,
    /// When an empty group stops waiting for more first members.
    pub(super) first_wait: Option<FirstWait>,
    pub(super) offsets: BTreeMap<(String, i32), Committed>,
    /// The members, where they are of the consumer protocol; the classic part is empty then.
    pub(super) consumer: Option<ConsumerGroup>,
    /// Replies to parked requests, for the shell to deliver.
    pub(super) replies: Vec<(Ticket, Reply)>,
    /// Which broker the members last spoke to.
    pub(super) node: i32,
}

/// The initial rebalance delay: each new member extends it, up to the rebalance timeout.
#[derive(Clone, Copy, Debug)]
pub(super) struct FirstWait {
    pub(super) until: Instant,
    pub(super) at_most: Instant,
    pub(super) step: Duration,
}

/// The answer to a parked request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
}

impl Group {
    pub(crate) fn new() -> Self {
        Self {
            state: GroupState::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: Vec::new(),
            pending: HashMap::new(),
            phase_ends: None,
            first_wait: None,
            offsets: BTreeMap::new(),
            consumer: None,
            replies: Vec::new(),
            node: -1,
        }
    }

    pub(super) fn member(&mut self, id: &str) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.members.iter().any(|member| member.id == id)
    }

    /// The member that holds a static identity (KIP-345).
    pub(super) fn instance(&self, instance_id: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.instance_id.as_deref() == Some(instance_id))
    }

    /// Whether the request comes from a member, and from the one that holds its static identity.
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

    pub(super) fn check_generation(&self, generation: i32) -> Result<(), ErrorCode> {
        if generation == self.generation {
            Ok(())
        } else {
            Err(ErrorCode::ILLEGAL_GENERATION)
        }
    }

    /// A sign of life between rebalances.
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

    /// A member goes; one with a static identity may be named by that alone.
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
        if self.pending.remove(&who.member_id).is_some() {
            self.complete_if_all_joined(now);
            return Ok(());
        }
        if !self.has(&who.member_id) {
            return Err(ErrorCode::UNKNOWN_MEMBER_ID);
        }
        self.remove(now, &who.member_id);
        Ok(())
    }

    /// Takes a member out and lets the others rebalance.
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

    /// Answers what a member that is no longer one has parked.
    pub(super) fn answer_gone(&mut self, gone: &Member, code: ErrorCode) {
        if let Some(ticket) = gone.joining {
            self.replies
                .push((ticket, Reply::Join(JoinReply::refused(code, &gone.id))));
        }
        if let Some(ticket) = gone.syncing {
            self.replies.push((ticket, Reply::Sync(Err(code))));
        }
    }

    /// Answers all parked requests with `code`; their members stay.
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

    /// The replies to parked requests that became due.
    pub(crate) fn take_replies(&mut self) -> Vec<(Ticket, Reply)> {
        std::mem::take(&mut self.replies)
    }

    pub(crate) fn serve_at(&mut self, node: i32) {
        self.node = node;
    }

    pub(crate) fn served_at(&self) -> i32 {
        self.node
    }

    /// Whether nothing is left to keep; a group that once had members stays, as Kafka's do for days.
    pub(crate) fn is_forgettable(&self) -> bool {
        self.generation == 0
            && self.consumer.is_none()
            && self.members.is_empty()
            && self.pending.is_empty()
            && self.offsets.is_empty()
    }

    pub(crate) fn has_members(&self) -> bool {
        !self.members.is_empty() || !self.pending.is_empty() || self.has_consumers()
    }

    /// Whether there are members of the consumer protocol.
    pub(crate) fn has_consumers(&self) -> bool {
        self.consumer
            .as_ref()
            .is_some_and(|group| !group.is_empty())
    }

    /// The group as one of the consumer protocol.
    pub(crate) fn as_consumer(&self) -> Option<&ConsumerGroup> {
        self.consumer.as_ref()
    }

    /// The group as one of the consumer protocol, which an empty one becomes; `None` while it has classic members.
    pub(crate) fn consumer_group(&mut self) -> Option<&mut ConsumerGroup> {
        if !self.members.is_empty() || !self.pending.is_empty() {
            return None;
        }
        Some(self.consumer.get_or_insert_default())
    }

    /// Whether who reads committed offsets, and says so, is a member of this epoch. Only the consumer protocol asks for that (KIP-848): a
    /// classic member is held against nothing, as by real coordinators.
    pub(crate) fn may_read(&self, who: &Identity, epoch: i32) -> Result<(), ErrorCode> {
        match &self.consumer {
            Some(group) if self.members.is_empty() && self.pending.is_empty() => {
                group.check(who, epoch)
            }
            _ => Ok(()),
        }
    }
}
