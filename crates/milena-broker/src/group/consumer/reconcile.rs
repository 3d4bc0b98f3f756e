//! The steps of a member towards its target. It gives partitions back first, confirms that, and
//! then gets those that others gave back.

use std::collections::BTreeSet;

use super::member::MemberState;
use super::{ConsumerGroup, Places};

impl ConsumerGroup {
    /// Takes a member one step further. `owned` are the partitions that it says it owns, if it sent
    /// them.
    pub(super) fn reconcile(&mut self, id: &str, owned: Option<&Places>) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let holds_on = |revoking: &Places| owned.is_none_or(|owned| meet(owned, revoking));
        match member.state {
            MemberState::Stable if member.epoch == self.target_epoch => {}
            MemberState::Unrevoked if holds_on(&member.revoking) => {}
            MemberState::Stable | MemberState::Unrevoked | MemberState::Unreleased => {
                self.step(id, owned);
            }
        }
    }

    /// Computes the next assignment of a member from its target and the other members' partitions.
    fn step(&mut self, id: &str, owned: Option<&Places>) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let target = self.target.get(id).cloned().unwrap_or_default();
        let kept = both(&member.assigned, &target);
        let revoking = without(&member.assigned, &target);
        let wanted = without(&target, &member.assigned);
        let free = |topic: &uuid::Uuid, partition: &i32| {
            let holder = self.holder(*topic, *partition);
            holder.is_none_or(|holder| holder == id)
        };
        let granted = filtered(&wanted, free);
        let waits = granted != wanted;
        let holds_on = owned.is_none_or(|owned| meet(owned, &revoking));
        let target_epoch = self.target_epoch;
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        member.assigned = kept;
        if !revoking.is_empty() && holds_on {
            // The member stays in its epoch until it has given the partitions back.
            member.state = MemberState::Unrevoked;
            member.revoking = revoking;
            return;
        }
        for (topic, partitions) in granted {
            member.assigned.entry(topic).or_default().extend(partitions);
        }
        member.revoking.clear();
        member.state = match waits {
            true => MemberState::Unreleased,
            false => MemberState::Stable,
        };
        if member.epoch != target_epoch {
            member.previous_epoch = member.epoch;
            member.epoch = target_epoch;
        }
    }
}

/// Returns the partitions that `keep` accepts, without empty topics.
fn filtered(places: &Places, keep: impl Fn(&uuid::Uuid, &i32) -> bool) -> Places {
    let each = places.iter().map(|(topic, partitions)| {
        let kept = partitions.iter().filter(|p| keep(topic, p)).copied();
        (*topic, kept.collect::<BTreeSet<_>>())
    });
    each.filter(|(_, partitions)| !partitions.is_empty())
        .collect()
}

/// Returns true if the partition is among `places`.
fn has(places: &Places, topic: &uuid::Uuid, partition: &i32) -> bool {
    places.get(topic).is_some_and(|p| p.contains(partition))
}

/// Returns the partitions that are in both.
fn both(a: &Places, b: &Places) -> Places {
    filtered(a, |topic, partition| has(b, topic, partition))
}

/// Returns the partitions of `a` that are not in `b`.
fn without(a: &Places, b: &Places) -> Places {
    filtered(a, |topic, partition| !has(b, topic, partition))
}

/// Returns true if a partition is in both.
fn meet(a: &Places, b: &Places) -> bool {
    !both(a, b).is_empty()
}
