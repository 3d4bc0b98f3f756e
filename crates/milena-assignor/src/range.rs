//! Kafka's `range` assignor. Each member takes a run of neighbouring partitions of each topic, and
//! prefers those in its rack.

use std::collections::{BTreeMap, BTreeSet};

use milena_core::{AssignorName, TopicName};

use crate::assignor::Assignor;
use crate::member::{GroupAssignment, GroupMember, in_order};
use crate::topics::{GroupTopics, place};

/// Kafka's `range` assignor. Each member takes a run of neighbouring partitions of each topic.
///
/// Members take their runs in the order of [`GroupMember::order`]. If the count does not divide
/// evenly, the first members take one partition more. Topics with the same partition count are
/// divided alike, so that one member gets the records of a key in all of them.
///
/// If members name their rack and the racks keep different partitions, a member first gets
/// partitions that its rack keeps, as far as its share allows.
///
/// # References
/// KIP-881 (rack-aware assignment).
#[derive(Clone, Copy, Debug, Default)]
pub struct RangeAssignor;

impl Assignor for RangeAssignor {
    fn name(&self) -> &str {
        AssignorName::Range.name()
    }

    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
        let mut assignment: GroupAssignment = members
            .iter()
            .map(|member| (member.id.clone(), Vec::new()))
            .collect();
        let ordered = in_order(members);
        let mut shares: Vec<Share<'_>> = topics
            .counts()
            .filter_map(|(topic, count)| Share::new(topic, count, &ordered, topics))
            .collect();
        if shares.iter().any(|share| share.racks_matter) {
            by_rack(&mut shares, &mut assignment);
        }
        for share in &mut shares {
            share.take_runs(|_, _| true, &mut assignment);
        }
        for list in assignment.values_mut() {
            list.sort();
        }
        assignment
    }
}

/// A topic whose partitions are being divided.
struct Share<'a> {
    /// Name of the topic.
    topic: &'a TopicName,
    /// Members that subscribed to it, in Kafka's order.
    takers: Vec<&'a GroupMember>,
    /// Racks of each partition's replicas, by partition number. `None` if they are not known.
    racks: Vec<Option<&'a BTreeSet<String>>>,
    /// True if a member's rack keeps replicas of the topic, and not every partition has them in the
    /// same racks.
    racks_matter: bool,
    /// Partition numbers that no member has yet.
    free: BTreeSet<usize>,
    /// Number of partitions that every taker gets.
    each: usize,
    /// Number of takers that may still get one more than `each`.
    extra: usize,
    /// Number of partitions that each member got so far, by member id.
    taken: BTreeMap<&'a str, usize>,
}

impl<'a> Share<'a> {
    /// Prepares a topic. Returns `None` if no member subscribed to it.
    fn new(
        topic: &'a TopicName,
        count: usize,
        ordered: &[&'a GroupMember],
        topics: &'a GroupTopics,
    ) -> Option<Self> {
        let takers: Vec<_> = ordered
            .iter()
            .filter(|member| member.topics.contains(topic))
            .copied()
            .collect();
        let (each, extra) = (count.checked_div(takers.len())?, count % takers.len());
        let racks: Vec<_> = (0..count)
            .map(|number| topics.racks(&place(topic, number)?))
            .collect();
        let kept: BTreeSet<&String> = racks.iter().flatten().copied().flatten().collect();
        let here = takers.iter().filter_map(|member| member.rack.as_ref());
        let everywhere = |racks: &Option<&BTreeSet<String>>| {
            racks.is_some_and(|racks| racks.iter().collect::<BTreeSet<_>>() == kept)
        };
        let racks_matter =
            here.into_iter().any(|rack| kept.contains(rack)) && !racks.iter().all(everywhere);
        Some(Self {
            topic,
            takers,
            racks,
            racks_matter,
            free: (0..count).collect(),
            each,
            extra,
            taken: BTreeMap::new(),
        })
    }

    /// Returns the number of partitions that the member may still take.
    fn room(&self, member: &GroupMember) -> usize {
        let taken = self.taken.get(member.id.as_str()).copied().unwrap_or(0);
        (self.each + usize::from(self.extra > 0)).saturating_sub(taken)
    }

    /// Returns true if the member's rack keeps a replica of the partition. A member without a rack
    /// is near to every partition.
    fn is_near(&self, member: &GroupMember, number: usize) -> bool {
        let Some(rack) = &member.rack else {
            return true;
        };
        let racks = self.racks.get(number).copied().flatten();
        racks.is_some_and(|racks| racks.contains(rack))
    }

    /// Gives a partition to a member and updates the shares.
    fn give(&mut self, member: &'a GroupMember, number: usize, assignment: &mut GroupAssignment) {
        let Some(place) = place(self.topic, number) else {
            return;
        };
        self.free.remove(&number);
        let taken = self.taken.entry(&member.id).or_default();
        *taken += 1;
        if *taken > self.each {
            self.extra = self.extra.saturating_sub(1);
        }
        if let Some(list) = assignment.get_mut(&member.id) {
            list.push(place);
        }
    }

    /// Gives each taker in turn the first free partitions that `may` allows, up to its share.
    fn take_runs(
        &mut self,
        may: impl Fn(&GroupMember, usize) -> bool,
        assignment: &mut GroupAssignment,
    ) {
        for member in self.takers.clone() {
            let room = self.room(member);
            let may = |at: &usize| may(member, *at);
            let run: Vec<_> = self.free.iter().copied().filter(may).take(room).collect();
            for number in run {
                self.give(member, number, assignment);
            }
        }
    }
}

/// Assigns partitions to members in a rack of their replicas, as far as shares allow. Topics with
/// the same takers and the same partition count are divided alike. The other partitions stay free.
fn by_rack<'a>(shares: &mut [Share<'a>], assignment: &mut GroupAssignment) {
    let mut alike: BTreeMap<(Vec<&'a str>, usize), Vec<usize>> = BTreeMap::new();
    for (at, share) in shares.iter().enumerate() {
        let takers = share.takers.iter().map(|member| member.id.as_str());
        let key = (takers.collect(), share.racks.len());
        alike.entry(key).or_default().push(at);
    }
    for ((_, count), group) in alike {
        let mut group: Vec<&mut Share<'a>> = shares
            .iter_mut()
            .enumerate()
            .filter_map(|(at, share)| group.contains(&at).then_some(share))
            .collect();
        match group.as_mut_slice() {
            [only] if only.racks_matter => {
                let near: BTreeSet<(String, usize)> = only
                    .takers
                    .iter()
                    .flat_map(|member| (0..count).map(move |at| (*member, at)))
                    .filter(|(member, at)| only.is_near(member, *at))
                    .map(|(member, at)| (member.id.clone(), at))
                    .collect();
                only.take_runs(
                    |member, at| near.contains(&(member.id.clone(), at)),
                    assignment,
                );
            }
            [_] => {}
            together => divide_alike(together, count, assignment),
        }
    }
}

/// Gives each partition number to one member in all of these topics. A number that suits no member
/// in all topics stays free.
fn divide_alike(shares: &mut [&mut Share<'_>], count: usize, assignment: &mut GroupAssignment) {
    let takers = shares.first().map(|share| share.takers.clone());
    let takers = takers.unwrap_or_default();
    for number in 0..count {
        let fits = |member: &&&GroupMember| {
            shares
                .iter()
                .all(|share| share.is_near(member, number) && share.room(member) > 0)
        };
        if let Some(member) = takers.iter().find(fits).copied() {
            for share in shares.iter_mut() {
                share.give(member, number, assignment);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use milena_core::TopicPartition;
    use proptest::prelude::*;

    use super::*;

    fn member(id: &str, topics: &[&str]) -> GroupMember {
        GroupMember::new(id, topics.iter().copied())
    }

    fn near(id: &str, rack: &str, topics: &[&str]) -> GroupMember {
        let mut member = member(id, topics);
        member.rack = Some(rack.into());
        member
    }

    fn kept(racks: &[&[&str]]) -> Vec<BTreeSet<String>> {
        let set = |racks: &&[&str]| racks.iter().map(ToString::to_string).collect();
        racks.iter().map(set).collect()
    }

    fn given(assignment: &GroupAssignment, place: &TopicPartition) -> usize {
        let lists = assignment.values();
        lists.filter(|list| list.contains(place)).count()
    }

    fn text(assignment: &GroupAssignment, id: &str) -> Vec<String> {
        assignment[id].iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_first_members_take_one_partition_more() {
        let members = [
            member("b", &["t"]),
            member("a", &["t"]),
            member("c", &["t"]),
        ];
        let given = RangeAssignor.assign(&members, &GroupTopics::new([("t", 7)]));
        assert_eq!(text(&given, "a"), ["t-0", "t-1", "t-2"]);
        assert_eq!(text(&given, "b"), ["t-3", "t-4"]);
        assert_eq!(text(&given, "c"), ["t-5", "t-6"]);
    }

    #[test]
    fn each_topic_is_divided_among_those_who_subscribed_to_it() {
        let members = [member("a", &["t", "u"]), member("b", &["u"])];
        let given = RangeAssignor.assign(&members, &GroupTopics::new([("t", 2), ("u", 2)]));
        assert_eq!(text(&given, "a"), ["t-0", "t-1", "u-0"]);
        assert_eq!(text(&given, "b"), ["u-1"]);
    }

    #[test]
    fn members_without_a_partition_are_in_the_assignment_too() {
        let members = [
            member("a", &["t"]),
            member("b", &["t"]),
            member("c", &["x"]),
        ];
        let given = RangeAssignor.assign(&members, &GroupTopics::new([("t", 1)]));
        assert_eq!(text(&given, "a"), ["t-0"]);
        assert!(given["b"].is_empty() && given["c"].is_empty());
    }

    #[test]
    fn static_members_order_by_their_instance_and_before_the_others() {
        let mut late = member("1", &["t"]);
        late.instance = Some("z".into());
        let mut early = member("9", &["t"]);
        early.instance = Some("a".into());
        let members = [member("0", &["t"]), late, early];
        let given = RangeAssignor.assign(&members, &GroupTopics::new([("t", 3)]));
        assert_eq!(text(&given, "9"), ["t-0"]);
        assert_eq!(text(&given, "1"), ["t-1"]);
        assert_eq!(text(&given, "0"), ["t-2"]);
    }

    #[test]
    fn a_member_gets_what_its_rack_keeps_and_shares_stay_even() {
        let members = [near("a", "x", &["t"]), near("b", "y", &["t"])];
        let mut topics = GroupTopics::default();
        topics.insert("t", kept(&[&["y"], &["x"], &["y"], &["x"]]));
        let given = RangeAssignor.assign(&members, &topics);
        assert_eq!(text(&given, "a"), ["t-1", "t-3"]);
        assert_eq!(text(&given, "b"), ["t-0", "t-2"]);
    }

    #[test]
    fn racks_that_all_keep_everything_change_nothing() {
        let members = [near("a", "x", &["t"]), near("b", "y", &["t"])];
        let mut topics = GroupTopics::default();
        topics.insert("t", kept(&[&["x", "y"], &["x", "y"]]));
        let given = RangeAssignor.assign(&members, &topics);
        assert_eq!(text(&given, "a"), ["t-0"]);
        assert_eq!(text(&given, "b"), ["t-1"]);
    }

    #[test]
    fn topics_with_as_many_partitions_stay_divided_alike_though_racks_matter() {
        let members = [near("a", "x", &["t", "u"]), near("b", "y", &["t", "u"])];
        let mut topics = GroupTopics::default();
        topics.insert("t", kept(&[&["y"], &["x"]]));
        topics.insert("u", kept(&[&["y"], &["x"]]));
        let given = RangeAssignor.assign(&members, &topics);
        assert_eq!(text(&given, "a"), ["t-1", "u-1"]);
        assert_eq!(text(&given, "b"), ["t-0", "u-0"]);
    }

    proptest! {
        #[test]
        fn every_partition_goes_to_exactly_one_subscriber_and_shares_differ_by_one(
            subscriptions in prop::collection::vec((prop::collection::btree_set(0usize..4, 0..4), 0usize..4), 1..8),
            partitions in prop::collection::vec(0usize..20, 4),
            racks in prop::collection::vec(prop::collection::btree_set(1usize..4, 0..3), 80),
        ) {
            let names = ["a", "b", "c", "d"];
            let members: Vec<_> = subscriptions.iter().enumerate().map(|(i, (set, rack))| {
                let topics: Vec<_> = set.iter().map(|t| names[*t]).collect();
                let mut member = member(&format!("m{i}"), &topics);
                member.rack = (*rack > 0).then(|| rack.to_string());
                member
            }).collect();
            let mut topics = GroupTopics::default();
            for (t, count) in partitions.iter().enumerate() {
                let racks = racks[t * 20..t * 20 + count].iter();
                topics.insert(names[t], racks.map(|set| set.iter().map(ToString::to_string).collect()).collect());
            }
            let assignment = RangeAssignor.assign(&members, &topics);
            prop_assert_eq!(assignment.len(), members.len());
            for place in topics.partitions() {
                let wanted = members.iter().any(|m| m.topics.contains(&place.topic));
                prop_assert_eq!(given(&assignment, &place), usize::from(wanted));
            }
            for name in names {
                let takers = members.iter().filter(|m| m.topics.contains(name));
                let shares: Vec<_> = takers.map(|m| assignment[&m.id].iter().filter(|p| p.topic == *name).count()).collect();
                if let (Some(least), Some(most)) = (shares.iter().min(), shares.iter().max()) {
                    prop_assert!(most - least <= 1);
                }
            }
            for m in &members {
                prop_assert!(assignment[&m.id].iter().all(|p| m.topics.contains(&p.topic)));
            }
        }
    }
}
