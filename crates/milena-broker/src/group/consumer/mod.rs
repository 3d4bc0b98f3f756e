//! A group of the consumer protocol (KIP-848). The coordinator assigns, members confirm, and epochs
//! fence members that are late.

mod assign;
mod beat;
mod member;
mod reconcile;
#[cfg(test)]
mod tests;
mod topics;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_core::ErrorCode;
use tokio::time::Instant;
use uuid::Uuid;

pub(crate) use beat::{Beat, BeatReply};
pub(crate) use member::ConsumerMember;
pub(crate) use topics::World;
pub(crate) use view::Description;

use super::group_state::GroupState;
use super::member::Identity;

/// Partitions by topic id.
pub(crate) type Places = BTreeMap<Uuid, BTreeSet<i32>>;

/// The timing that the broker gives to members.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// The time after which a silent member is removed.
    pub(crate) session: Duration,
    /// The time between two heartbeats of a member.
    pub(crate) interval: Duration,
}

/// The state of a group. Every change is a function of the request and the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConsumerGroup {
    /// The group's epoch. Grows by one with each change of members, subscriptions or topics.
    pub(super) epoch: i32,
    /// The epoch that the target was made for. At most `epoch`.
    pub(super) target_epoch: i32,
    /// The assignor that made the target. Empty before the first.
    pub(super) assignor: String,
    /// The members by id.
    pub(super) members: BTreeMap<String, ConsumerMember>,
    /// The partitions that each member should own. It has an entry for each member after
    /// [`make_target`](Self::make_target).
    pub(super) target: BTreeMap<String, Places>,
    /// The topics that members read, as of the last change of `epoch`.
    pub(super) topics: World,
}

impl ConsumerGroup {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the group's state.
    pub(crate) fn state(&self) -> GroupState {
        if self.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.target_epoch {
            GroupState::Assigning
        } else if self
            .members
            .values()
            .all(|m| m.is_settled(self.target_epoch))
        {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// Returns the time at which [`tick`](Self::tick) has something to do next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.members.values().map(ConsumerMember::deadline).min()
    }

    /// Removes the members whose time is up.
    pub(crate) fn tick(&mut self, now: Instant) {
        let members = self.members.values();
        let late = members.filter(|member| member.deadline() <= now);
        let late: Vec<String> = late.map(|member| member.id.clone()).collect();
        // The last known topics are good enough here. The next heartbeat looks at the cluster
        // again.
        let world: World = self.topics.clone();
        for id in late {
            self.remove(now, &id, &world);
        }
    }

    /// Checks that a commit or a fetch of offsets comes from a member in its present epoch.
    pub(crate) fn check(&self, who: &Identity, epoch: i32) -> Result<(), ErrorCode> {
        let member = self
            .members
            .get(&who.member_id)
            .ok_or(ErrorCode::UNKNOWN_MEMBER_ID)?;
        if member.epoch == epoch {
            Ok(())
        } else {
            Err(ErrorCode::STALE_MEMBER_EPOCH)
        }
    }

    /// Returns true if a member subscribes to the topic.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.wants(topic))
    }

    /// Returns the members in the order that assignors use. Static members come first, ordered by
    /// instance id.
    pub(super) fn ordered(&self) -> Vec<&ConsumerMember> {
        let mut members: Vec<_> = self.members.values().collect();
        members.sort_by_key(|m| (m.instance_id.is_none(), m.instance_id.clone(), m.id.clone()));
        members
    }

    /// Returns the member that holds a partition. It is assigned to that member, or not yet
    /// confirmed to be given back.
    pub(super) fn holder(&self, topic: Uuid, partition: i32) -> Option<&str> {
        let holds = |places: &Places| places.get(&topic).is_some_and(|p| p.contains(&partition));
        let mut members = self.members.values();
        let found = members.find(|m| holds(&m.assigned) || holds(&m.revoking));
        found.map(|member| member.id.as_str())
    }
}

/// Returns true if every partition of `few` is in `many`.
pub(super) fn within(few: &Places, many: &Places) -> bool {
    few.iter().all(|(topic, partitions)| {
        partitions.is_empty() || many.get(topic).is_some_and(|all| partitions.is_subset(all))
    })
}
