//! The assignors of the coordinator. `uniform` evens out shares and keeps partitions, and `range`
//! gives ranges per topic.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{ConsumerGroup, Places, World};

/// The names of the assignors. The first is the default.
pub(super) const ASSIGNORS: [&str; 2] = ["uniform", "range"];

impl ConsumerGroup {
    /// Makes the target assignment for the present epoch.
    pub(super) fn make_target(&mut self) {
        let chosen = self.preferred();
        let topics = self.topics.clone();
        self.target = match chosen {
            "range" => self.by_range(&topics),
            _ => self.uniformly(&topics),
        };
        chosen.clone_into(&mut self.assignor);
        self.target_epoch = self.epoch;
    }

    /// Returns the assignor that most members ask for.
    fn preferred(&self) -> &'static str {
        let votes = |name: &str| {
            let members = self.members.values();
            members
                .filter(|m| m.assignor.as_deref() == Some(name))
                .count()
        };
        // `max_by_key` takes the last of equals, so the reversed order prefers the default.
        let best = ASSIGNORS.into_iter().rev().max_by_key(|name| votes(name));
        best.unwrap_or("uniform")
    }

    /// Gives each member a range of each topic.
    fn by_range(&self, topics: &World) -> BTreeMap<String, Places> {
        let mut target = self.nothing();
        for (name, (id, count)) in topics {
            let takers: Vec<_> = self
                .ordered()
                .into_iter()
                .filter(|m| m.wants(name))
                .collect();
            let (Some(share), mut first) = (count.checked_div(takers.len()), 0) else {
                continue;
            };
            for (at, member) in takers.iter().enumerate() {
                let end = first + share + usize::from(at < count % takers.len());
                for number in first..end {
                    give(&mut target, &member.id, *id, number);
                }
                first = end;
            }
        }
        target
    }

    /// Keeps each member's partitions of the last target, and evens out the shares.
    fn uniformly(&self, topics: &World) -> BTreeMap<String, Places> {
        let mut target = self.nothing();
        let mut free = Vec::new();
        for (name, (id, count)) in topics {
            for number in 0..*count {
                let had =
                    |places: &Places| places.get(id).is_some_and(|p| p.contains(&(number as i32)));
                let owner = self.target.iter().find(|(_, places)| had(places));
                let owner = owner.and_then(|(owner, _)| self.members.get(owner));
                match owner.filter(|member| member.wants(name)) {
                    Some(member) => give(&mut target, &member.id, *id, number),
                    None => free.push((name.as_str(), *id, number)),
                }
            }
        }
        for (name, id, number) in free {
            let takers = self.ordered().into_iter().filter(|m| m.wants(name));
            if let Some(member) = takers.min_by_key(|m| load(&target, &m.id)) {
                give(&mut target, &member.id, id, number);
            }
        }
        while let Some((from, to, id, number)) = self.uneven(&target, topics) {
            if let Some(places) = target.get_mut(&from).and_then(|t| t.get_mut(&id)) {
                places.remove(&number);
            }
            give(&mut target, &to, id, number as usize);
        }
        target
    }

    /// Returns a partition whose move makes the shares more even, with its old and its new owner.
    fn uneven(
        &self,
        target: &BTreeMap<String, Places>,
        topics: &World,
    ) -> Option<(String, String, Uuid, i32)> {
        let mut by_load: Vec<_> = target.keys().map(|id| (load(target, id), id)).collect();
        by_load.sort();
        for (most, rich) in by_load.iter().rev() {
            for (least, poor) in &by_load {
                if most - least.min(most) < 2 {
                    break;
                }
                let poor_member = self.members.get(*poor)?;
                for (_, (id, _)) in topics.iter().filter(|(name, _)| poor_member.wants(name)) {
                    let held = target.get(*rich).and_then(|places| places.get(id));
                    if let Some(number) = held.and_then(BTreeSet::last) {
                        return Some(((*rich).clone(), (*poor).clone(), *id, *number));
                    }
                }
            }
        }
        None
    }

    /// Returns a target in which no member has a partition.
    fn nothing(&self) -> BTreeMap<String, Places> {
        let ids = self.members.keys();
        ids.map(|id| (id.clone(), Places::new())).collect()
    }
}

/// Returns the number of partitions that a member has.
fn load(target: &BTreeMap<String, Places>, member: &str) -> usize {
    let places = target.get(member);
    places.map_or(0, |places| places.values().map(BTreeSet::len).sum())
}

/// Adds a partition to a member.
fn give(target: &mut BTreeMap<String, Places>, member: &str, id: Uuid, number: usize) {
    if let Some(places) = target.get_mut(member) {
        places.entry(id).or_default().insert(number as i32);
    }
}
