//! ConsumerGroupHeartbeat. A member joins, confirms and leaves by it. Each answer has the epoch,
//! and the assignment if it changed.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_core::ErrorCode;
use regex::bytes::RegexBuilder;
use tokio::time::Instant;

use super::assign::ASSIGNORS;
use super::member::{ConsumerMember, MemberState, Pattern};
use super::{ConsumerGroup, Places, Timing, World, within};
use crate::refused::Refused;

/// A ConsumerGroupHeartbeat request. `None` means unchanged since the last one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beat {
    /// The member's id.
    pub(crate) member_id: String,
    /// The member's epoch. 0 joins, -1 leaves, and -2 leaves for a while.
    pub(crate) epoch: i32,
    /// The static identity (`group.instance.id`).
    pub(crate) instance_id: Option<String>,
    /// The member's rack.
    pub(crate) rack: Option<String>,
    /// The time it may take to give partitions back.
    pub(crate) rebalance_timeout: Option<Duration>,
    /// The topics that it subscribes to.
    pub(crate) topics: Option<Vec<String>>,
    /// The pattern of topics that it subscribes to. An empty one ends the subscription.
    pub(crate) regex: Option<String>,
    /// The server-side assignor that it prefers.
    pub(crate) assignor: Option<String>,
    /// The partitions that it owns.
    pub(crate) owned: Option<Places>,
    /// The client id.
    pub(crate) client_id: String,
    /// The client's address.
    pub(crate) client_host: String,
}

/// The answer to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BeatReply {
    /// The member's id.
    pub(crate) member_id: String,
    /// The member's epoch from now on.
    pub(crate) epoch: i32,
    /// The partitions that it may use. `None` if they are unchanged.
    pub(crate) assignment: Option<Places>,
}

impl ConsumerGroup {
    /// Handles a heartbeat of any kind.
    pub(crate) fn beat(
        &mut self,
        now: Instant,
        beat: &Beat,
        world: &World,
        timing: Timing,
    ) -> Result<BeatReply, Refused> {
        check(beat)?;
        if beat.epoch < 0 {
            return self.leave(now, beat, world);
        }
        let known = self.members.len();
        let id = self.enter(now, beat, timing)?;
        // The assignment before this heartbeat decides whether the answer has to repeat it.
        let before = self.members.get(&id).map(|member| member.assigned.clone());
        let changed = self.update(&id, beat)? || self.members.len() > known;
        let read = self.read_of(world);
        if changed || read != self.topics || self.epoch == 0 {
            self.topics = read;
            self.epoch += 1;
        }
        if self.epoch > self.target_epoch {
            self.make_target();
        }
        self.reconcile(&id, beat.owned.as_ref());
        let Some(member) = self.members.get_mut(&id) else {
            return Err((ErrorCode::UNKNOWN_MEMBER_ID, String::new()));
        };
        member.session_ends = now + timing.session;
        member.revoke_ends = match member.state {
            MemberState::Unrevoked => member
                .revoke_ends
                .or_else(|| Some(now + member.rebalance_timeout)),
            _ => None,
        };
        let told = beat.epoch == 0 || is_full(beat) || before.as_ref() != Some(&member.assigned);
        Ok(BeatReply {
            member_id: id,
            epoch: member.epoch,
            assignment: told.then(|| member.assigned.clone()),
        })
    }

    /// Returns the id of the member that sent the heartbeat, and adds it if it is new.
    fn enter(&mut self, now: Instant, beat: &Beat, timing: Timing) -> Result<String, Refused> {
        let id = &beat.member_id;
        if let Some(instance) = &beat.instance_id {
            return self.enter_static(now, beat, instance, timing);
        }
        let Some(member) = self.members.get(id) else {
            if beat.epoch != 0 {
                return Err(unknown(id));
            }
            self.add(now, beat, timing);
            return Ok(id.clone());
        };
        fence(member, beat)?;
        Ok(id.clone())
    }

    /// Does the same for a static member.
    fn enter_static(
        &mut self,
        now: Instant,
        beat: &Beat,
        instance: &str,
        timing: Timing,
    ) -> Result<String, Refused> {
        let id = &beat.member_id;
        let holder = |m: &&ConsumerMember| m.instance_id.as_deref() == Some(instance);
        let Some(held) = self.members.values().find(holder) else {
            if beat.epoch != 0 {
                return Err(unknown(id));
            }
            self.add(now, beat, timing);
            return Ok(id.clone());
        };
        if held.id == *id {
            fence(held, beat)?;
            return Ok(id.clone());
        }
        if beat.epoch != 0 {
            let what = format!("Static member {instance} is held by member {}.", held.id);
            return Err((ErrorCode::FENCED_INSTANCE_ID, what));
        }
        if held.epoch != LEFT_FOR_A_WHILE {
            let what = format!(
                "Static member {instance} is still held by member {}.",
                held.id
            );
            return Err((ErrorCode::UNRELEASED_INSTANCE_ID, what));
        }
        // The static member came back. It keeps its partitions, and the other members notice
        // nothing.
        let old = held.id.clone();
        if let Some(mut member) = self.members.remove(&old) {
            member.id.clone_from(id);
            member.epoch = 0;
            member.previous_epoch = 0;
            member.session_ends = now + timing.session;
            self.members.insert(id.clone(), member);
        }
        if let Some(target) = self.target.remove(&old) {
            self.target.insert(id.clone(), target);
        }
        Ok(id.clone())
    }

    /// Adds a new member without any subscription.
    fn add(&mut self, now: Instant, beat: &Beat, timing: Timing) {
        let member = ConsumerMember {
            id: beat.member_id.clone(),
            instance_id: beat.instance_id.clone(),
            rack: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout: Duration::ZERO,
            topics: Vec::new(),
            pattern: None,
            assignor: None,
            epoch: 0,
            previous_epoch: 0,
            state: MemberState::Stable,
            assigned: Places::new(),
            revoking: Places::new(),
            session_ends: now + timing.session,
            revoke_ends: None,
        };
        self.members.insert(member.id.clone(), member);
    }

    /// Takes in the changes that the member sent. Returns true if the target depends on them.
    fn update(&mut self, id: &str, beat: &Beat) -> Result<bool, Refused> {
        let pattern = match beat.regex.as_deref() {
            None => None,
            Some("") => Some(None),
            Some(text) => Some(Some(Pattern {
                text: text.to_owned(),
                whole: whole(text)?,
            })),
        };
        let Some(member) = self.members.get_mut(id) else {
            return Err(unknown(id));
        };
        let before = (
            member.topics.clone(),
            member.pattern.clone(),
            member.assignor.clone(),
        );
        member.client_id.clone_from(&beat.client_id);
        member.client_host.clone_from(&beat.client_host);
        if let Some(timeout) = beat.rebalance_timeout {
            member.rebalance_timeout = timeout;
        }
        member.rack = beat.rack.clone().or(member.rack.take());
        member.assignor = beat.assignor.clone().or(member.assignor.take());
        if let Some(topics) = &beat.topics {
            member.topics.clone_from(topics);
        }
        if let Some(pattern) = pattern {
            member.pattern = pattern;
        }
        Ok(before
            != (
                member.topics.clone(),
                member.pattern.clone(),
                member.assignor.clone(),
            ))
    }

    /// Removes a member, or lets a static one go for a while.
    fn leave(&mut self, now: Instant, beat: &Beat, world: &World) -> Result<BeatReply, Refused> {
        let id = match &beat.instance_id {
            None => beat.member_id.clone(),
            Some(instance) => {
                let holder = |m: &&ConsumerMember| m.instance_id.as_ref() == Some(instance);
                let held = self.members.values().find(holder);
                let held = held.ok_or_else(|| unknown(&beat.member_id))?;
                if held.id != beat.member_id {
                    let what = format!("Static member {instance} is held by member {}.", held.id);
                    return Err((ErrorCode::FENCED_INSTANCE_ID, what));
                }
                held.id.clone()
            }
        };
        let Some(member) = self.members.get_mut(&id) else {
            return Err(unknown(&id));
        };
        if beat.epoch == LEFT_FOR_A_WHILE {
            // It keeps its place until its session ends. The partitions that it had to give back
            // count as given back.
            member.epoch = LEFT_FOR_A_WHILE;
            member.revoking.clear();
            member.revoke_ends = None;
        } else {
            self.remove(now, &id, world);
        }
        Ok(BeatReply {
            member_id: id,
            epoch: beat.epoch,
            assignment: None,
        })
    }

    /// Removes a member. The others get a new target with their next heartbeats.
    pub(super) fn remove(&mut self, _: Instant, id: &str, world: &World) {
        if self.members.remove(id).is_some() {
            self.target.remove(id);
            self.topics = self.read_of(world);
            self.epoch += 1;
        }
    }
}

/// Refuses an epoch that is not the member's. The epoch before is accepted if the member can only
/// have missed the last answer.
fn fence(member: &ConsumerMember, beat: &Beat) -> Result<(), Refused> {
    if beat.epoch == 0 || beat.epoch == member.epoch {
        return Ok(());
    }
    let owned = beat.owned.as_ref();
    let late = beat.epoch == member.previous_epoch
        && owned.is_some_and(|owned| within(owned, &member.assigned));
    if late && beat.epoch < member.epoch {
        return Ok(());
    }
    let what = format!(
        "The member is in epoch {} and sent {}. The member must abandon all its partitions and rejoin.",
        member.epoch, beat.epoch
    );
    Err((ErrorCode::FENCED_MEMBER_EPOCH, what))
}

/// Checks the parts of a request that depend on no state.
fn check(beat: &Beat) -> Result<(), Refused> {
    let invalid = |what: &str| Err((ErrorCode::INVALID_REQUEST, what.to_owned()));
    if beat.epoch < LEFT_FOR_A_WHILE {
        return invalid("MemberEpoch is invalid.");
    }
    if beat.member_id.is_empty() {
        return invalid("MemberId can't be empty.");
    }
    if beat.instance_id.as_deref() == Some("") || beat.rack.as_deref() == Some("") {
        return invalid("InstanceId and RackId can't be empty.");
    }
    if beat.epoch == LEFT_FOR_A_WHILE && beat.instance_id.is_none() {
        return invalid("InstanceId can't be null.");
    }
    if beat.epoch == 0 {
        if beat.rebalance_timeout.is_none() {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if !beat
            .owned
            .as_ref()
            .is_some_and(|owned| owned.values().all(BTreeSet::is_empty))
        {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if beat.topics.is_none() && beat.regex.is_none() {
            return invalid(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null.",
            );
        }
    }
    match beat.assignor.as_deref() {
        Some(name) if !ASSIGNORS.contains(&name) => {
            let what = format!(
                "ServerAssignor {name} is not supported. Supported assignors: {}.",
                ASSIGNORS.join(", ")
            );
            Err((ErrorCode::UNSUPPORTED_ASSIGNOR, what))
        }
        _ => Ok(()),
    }
}

/// Returns true if the member sent everything, as it does to get its whole assignment again.
fn is_full(beat: &Beat) -> bool {
    let reads = beat.topics.is_some() || beat.regex.is_some();
    beat.rebalance_timeout.is_some() && reads && beat.owned.is_some()
}

/// Compiles a pattern so that it matches whole topic names, like Kafka's brokers.
fn whole(text: &str) -> Result<regex::bytes::Regex, Refused> {
    let compile = |text: &str| RegexBuilder::new(text).unicode(false).build();
    compile(text)
        .and_then(|_| compile(&format!("^(?:{text})$")))
        .map_err(|cause| {
            let what = format!(
                "SubscribedTopicRegex `{text}` is not a valid regular expression: {cause}."
            );
            (ErrorCode::INVALID_REGULAR_EXPRESSION, what)
        })
}

/// Returns the refusal of an unknown member.
fn unknown(id: &str) -> Refused {
    let what = format!("Member {id} is not a member of the group.");
    (ErrorCode::UNKNOWN_MEMBER_ID, what)
}

/// The epoch of a static member that left and intends to come back.
pub(super) const LEFT_FOR_A_WHILE: i32 = -2;
