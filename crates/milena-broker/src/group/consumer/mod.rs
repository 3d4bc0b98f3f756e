//! A group of the consumer protocol (KIP-848): the coordinator assigns, members confirm, and epochs fence who is late.

mod assign;
mod beat;
mod member;
mod reconcile;
#[cfg(test)]
mod tests;
mod timers;
mod topics;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena_core::ErrorCode;
use uuid::Uuid;

pub(crate) use beat::{Beat, BeatReply, Refused};
pub(crate) use member::ConsumerMember;
pub(crate) use topics::World;

use super::member::Identity;

/// Partitions by topic id.
pub(crate) type Places = BTreeMap<Uuid, BTreeSet<i32>>;

/// The timing that members of such groups are given by the broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) session: Duration,
    pub(crate) interval: Duration,
}

/// A group as plain state.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConsumerGroup {
    /// Rises with each change of members, subscriptions or topics.
    pub(super) epoch: i32,
    /// The epoch that the target was made for.
    pub(super) target_epoch: i32,
    /// The assignor that made the target.
    pub(super) assignor: String,
    pub(super) members: BTreeMap<String, ConsumerMember>,
    /// What each member is to own.
    pub(super) target: BTreeMap<String, Places>,
    /// The topics that members read, as they were when the epoch last rose.
    pub(super) topics: World,
}

impl ConsumerGroup {
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a member's commit or fetch of offsets names the epoch that it is in.
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

    /// Whether a member reads the topic.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.wants(topic))
    }

    /// The members, in the order in which assignors take them: static ones by their instance id, then the others.
    pub(super) fn ordered(&self) -> Vec<&ConsumerMember> {
        let mut members: Vec<_> = self.members.values().collect();
        members.sort_by_key(|m| (m.instance_id.is_none(), m.instance_id.clone(), m.id.clone()));
        members
    }

    /// Who holds a partition: by assignment, or since it has not confirmed that it gave it back.
    pub(super) fn holder(&self, topic: Uuid, partition: i32) -> Option<&str> {
        let holds = |places: &Places| places.get(&topic).is_some_and(|p| p.contains(&partition));
        let mut members = self.members.values();
        let found = members.find(|m| holds(&m.assigned) || holds(&m.revoking));
        found.map(|member| member.id.as_str())
    }
}

/// Whether every partition of `few` is in `many`.
pub(super) fn within(few: &Places, many: &Places) -> bool {
    few.iter().all(|(topic, partitions)| {
        partitions.is_empty() || many.get(topic).is_some_and(|all| partitions.is_subset(all))
    })
}
