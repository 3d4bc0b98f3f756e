//! An assignment in the making. It knows each partition's previous owner, possible owners and
//! current owner. Members, topics and partitions are numbers here.
#![expect(
    clippy::indexing_slicing,
    reason = "every index is a number that this plan gave out for one of its own vectors"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use milena_core::TopicPartition;

use crate::member::{GroupAssignment, GroupMember, in_order};
use crate::topics::GroupTopics;

/// The partitions that a member says it had.
#[derive(Clone, Debug, Default)]
pub(super) struct Claim {
    /// These partitions.
    pub(super) owned: BTreeSet<TopicPartition>,
    /// Generation in which it had them. `None` if it did not send one, which counts as older than
    /// any.
    pub(super) generation: Option<i32>,
}

/// Members, topics and partitions of a group, and the current owner of each partition.
#[derive(Debug)]
pub(super) struct Plan {
    /// Member ids, by member number, in Kafka's order.
    ids: Vec<String>,
    /// Topic and number of each partition.
    places: Vec<TopicPartition>,
    /// Topic number of each partition.
    topic: Vec<usize>,
    /// Numbers of the members that subscribed to each topic, in ascending order.
    subscribers: Vec<Vec<usize>>,
    /// Previous owner of each partition. `None` if there was none, or if it may not keep the
    /// partition.
    before: Vec<Option<usize>>,
    /// Current owner of each partition. `None` until one is chosen.
    owner: Vec<Option<usize>>,
    /// Number of partitions that each member has now.
    load: Vec<usize>,
    /// Partitions that each member has now, by topic.
    held: Vec<BTreeMap<usize, BTreeSet<usize>>>,
    /// Members whose rack keeps a replica of each partition, by partition number. Empty if no
    /// member names a rack.
    near: Vec<BTreeSet<usize>>,
}

impl Plan {
    /// Numbers members, topics and partitions, and gives each partition to its previous owner.
    pub(super) fn new(members: &[GroupMember], claims: Vec<Claim>, topics: &GroupTopics) -> Self {
        let claims: HashMap<&str, Claim> = members
            .iter()
            .zip(claims)
            .map(|(member, claim)| (member.id.as_str(), claim))
            .collect();
        let members = in_order(members);
        let numbers: BTreeMap<_, _> = topics.counts().zip(0..).map(|((t, _), n)| (t, n)).collect();
        let subscribers: Vec<Vec<usize>> = numbers
            .keys()
            .map(|topic| {
                let all = 0..members.len();
                all.filter(|m| members[*m].topics.contains(*topic))
                    .collect()
            })
            .collect();
        let places: Vec<_> = topics.partitions().collect();
        let topic: Vec<usize> = places.iter().map(|place| numbers[&place.topic]).collect();
        let near = |place: &TopicPartition| {
            let racks = topics.racks(place);
            let all = 0..members.len();
            all.filter(|m| {
                let rack = members[*m].rack.as_ref();
                rack.is_some_and(|rack| racks.is_some_and(|racks| racks.contains(rack)))
            })
            .collect()
        };
        let racks = members.iter().any(|member| member.rack.is_some());
        let mut plan = Self {
            ids: members.iter().map(|member| member.id.clone()).collect(),
            near: match racks {
                true => places.iter().map(near).collect(),
                false => vec![BTreeSet::new(); places.len()],
            },
            before: vec![None; places.len()],
            owner: vec![None; places.len()],
            load: vec![0; members.len()],
            held: vec![BTreeMap::new(); members.len()],
            places,
            topic,
            subscribers,
        };
        plan.note_claims(&claims);
        plan
    }

    /// Makes the newest claim to each partition its previous owner. Two claims of one generation
    /// cancel each other, because one of them is wrong and nothing shows which.
    fn note_claims(&mut self, claims: &HashMap<&str, Claim>) {
        let at: HashMap<TopicPartition, usize> = self.places.iter().cloned().zip(0..).collect();
        let mut newest: Vec<(i32, Option<usize>)> = vec![(i32::MIN, None); self.places.len()];
        for (member, id) in self.ids.iter().enumerate() {
            let Some(claim) = claims.get(id.as_str()) else {
                continue;
            };
            let generation = claim.generation.unwrap_or(-1);
            for partition in claim.owned.iter().filter_map(|place| at.get(place)) {
                let known = &mut newest[*partition];
                if generation > known.0 {
                    *known = (generation, Some(member));
                } else if generation == known.0 {
                    known.1 = None;
                }
            }
        }
        for (partition, (_, member)) in newest.into_iter().enumerate() {
            let subscribed = |m: &usize| self.may_have(*m, partition);
            self.before[partition] = member.filter(subscribed);
            if let Some(member) = self.before[partition] {
                self.give(partition, member);
            }
        }
    }

    /// Returns the number of members.
    pub(super) fn members(&self) -> usize {
        self.load.len()
    }

    /// Returns the number of partitions.
    pub(super) fn partitions(&self) -> usize {
        self.places.len()
    }

    /// Returns the number of partitions that a member has now.
    pub(super) fn load(&self, member: usize) -> usize {
        self.load[member]
    }

    /// Returns the partitions that a member has now, by topic.
    pub(super) fn held(&self, member: usize) -> &BTreeMap<usize, BTreeSet<usize>> {
        &self.held[member]
    }

    /// Returns the members that subscribed to a topic, in ascending order.
    pub(super) fn subscribers(&self, topic: usize) -> &[usize] {
        &self.subscribers[topic]
    }

    /// Returns the previous owner of a partition. `None` if there was none, or if it may not keep
    /// the partition.
    pub(super) fn before(&self, partition: usize) -> Option<usize> {
        self.before[partition]
    }

    /// Returns true if the member subscribed to the partition's topic.
    fn may_have(&self, member: usize, partition: usize) -> bool {
        let subscribers = &self.subscribers[self.topic[partition]];
        subscribers.binary_search(&member).is_ok()
    }

    /// Gives each partition without an owner to its subscriber with the fewest partitions.
    /// Partitions with the fewest subscribers go first.
    pub(super) fn place_free(&mut self) {
        let mut free: Vec<_> = (0..self.places.len())
            .filter(|partition| self.owner[*partition].is_none())
            .collect();
        free.sort_by_key(|partition| self.subscribers[self.topic[*partition]].len());
        for partition in free {
            let takers = self.subscribers[self.topic[partition]].iter();
            let least = takers.min_by_key(|m| {
                let far = !self.near[partition].contains(m);
                let alike = self.held[**m].get(&self.topic[partition]);
                (self.load[**m], far, alike.map_or(0, BTreeSet::len))
            });
            if let Some(member) = least.copied() {
                self.give(partition, member);
            }
        }
    }

    /// Gives a partition to a member, and takes it from its current owner.
    pub(super) fn give(&mut self, partition: usize, member: usize) {
        if let Some(old) = self.owner[partition].replace(member) {
            self.load[old] -= 1;
            if let Some(held) = self.held[old].get_mut(&self.topic[partition]) {
                held.remove(&partition);
            }
        }
        self.load[member] += 1;
        let held = self.held[member].entry(self.topic[partition]);
        held.or_default().insert(partition);
    }

    /// Returns the partitions of each member, by member id.
    pub(super) fn into_assignment(self) -> GroupAssignment {
        let mut lists: Vec<Vec<TopicPartition>> = vec![Vec::new(); self.ids.len()];
        for (place, owner) in self.places.into_iter().zip(self.owner) {
            if let Some(owner) = owner {
                lists[owner].push(place);
            }
        }
        self.ids.into_iter().zip(lists).collect()
    }
}
