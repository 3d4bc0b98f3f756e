//! Properties of sticky assignments that hold on any input.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::check::{check, withhold};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn place(topic: usize, number: u32) -> TopicPartition {
    TopicPartition::new(NAMES[topic], number)
}

/// Generates any members. Their claims may overlap, may have any generation, and may name topics
/// that are gone or not subscribed to.
pub(super) fn any_members() -> impl Strategy<Value = Vec<GroupMember>> {
    let topics = prop::collection::btree_set(0usize..5, 0..5);
    let owned = prop::collection::btree_set((0usize..5, 0u32..12), 0..20);
    let member = (
        topics,
        owned,
        prop::option::of(-1i32..4),
        prop::option::of(0u8..3),
    );
    prop::collection::vec(member, 1..9).prop_map(|members| {
        let members = members.into_iter().enumerate();
        members
            .map(|(number, (topics, owned, generation, rack))| {
                let mut member =
                    GroupMember::new(format!("m{number}"), topics.iter().map(|t| NAMES[*t]));
                member.owned = owned.into_iter().map(|(t, p)| place(t, p)).collect();
                member.generation = generation;
                member.rack = rack.map(|rack| rack.to_string());
                member
            })
            .collect()
    })
}

pub(super) fn any_topics() -> impl Strategy<Value = GroupTopics> {
    prop::collection::vec(0usize..12, 5)
        .prop_map(|counts| GroupTopics::new(NAMES.into_iter().zip(counts)))
}

fn assert_fair(members: &[GroupMember], topics: &GroupTopics, given: &GroupAssignment) {
    check(given, "sticky").unwrap();
    assert_eq!(given.len(), members.len());
    let mut owners = BTreeMap::new();
    for member in members {
        for place in &given[&member.id] {
            assert!(
                member.topics.contains(&place.topic),
                "{place} was not asked for"
            );
            owners.insert(place.clone(), &member.id);
        }
    }
    for place in topics.partitions() {
        let wanted = members.iter().any(|m| m.topics.contains(&place.topic));
        assert_eq!(owners.contains_key(&place), wanted, "{place}");
    }
    for rich in members {
        for poor in members {
            if given[&rich.id].len() > given[&poor.id].len() + 1 {
                let spare = given[&rich.id]
                    .iter()
                    .find(|p| poor.topics.contains(&p.topic));
                assert_eq!(
                    spare, None,
                    "{} could have it instead of {}",
                    poor.id, rich.id
                );
            }
        }
    }
}

/// Returns the partitions that members own after the rebalance, both phases of a cooperative one
/// included.
fn settle(
    mut members: Vec<GroupMember>,
    topics: &GroupTopics,
    generation: i32,
) -> Vec<GroupMember> {
    let mut given = CooperativeStickyAssignor.assign(&members, topics);
    withhold(&mut given, &members);
    check(&given, "cooperative-sticky").unwrap();
    for member in &mut members {
        member.owned = given[&member.id].iter().cloned().collect();
        member.generation = Some(generation);
    }
    members
}

fn owned(members: &[GroupMember]) -> Vec<BTreeSet<TopicPartition>> {
    members.iter().map(|member| member.owned.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_partition_is_given_once_and_shares_are_even_whatever_members_claim(
        members in any_members(), topics in any_topics(),
    ) {
        assert_fair(&members, &topics, &CooperativeStickyAssignor.assign(&members, &topics));
    }

    #[test]
    fn no_partition_has_two_owners_at_any_time_and_two_more_rebalances_settle_everything(
        members in any_members(), topics in any_topics(),
    ) {
        // Members own only assigned partitions after the first round, whatever they claimed before.
        let mut members = settle(members, &topics, 10);
        for generation in 11..13 {
            let before = owned(&members);
            let next = settle(members.clone(), &topics, generation);
            for (a, now) in next.iter().enumerate() {
                for (b, then) in before.iter().enumerate() {
                    prop_assert!(a == b || now.owned.is_disjoint(then), "given in the generation in which it is revoked");
                }
            }
            members = next;
        }
        let settled = settle(members.clone(), &topics, 13);
        prop_assert_eq!(owned(&settled), owned(&members), "it comes to rest");
        let given = settled.iter().map(|m| (m.id.clone(), m.owned.iter().cloned().collect())).collect();
        assert_fair(&settled, &topics, &given);
    }

    #[test]
    fn a_balanced_group_in_which_nothing_changed_moves_nothing(
        members in any_members(), topics in any_topics(),
    ) {
        let first = CooperativeStickyAssignor.assign(&members, &topics);
        let mut members = members;
        for member in &mut members {
            member.owned = first[&member.id].iter().cloned().collect();
            member.generation = Some(9);
        }
        prop_assert_eq!(CooperativeStickyAssignor.assign(&members, &topics), first);
    }

    #[test]
    fn among_alike_members_only_what_evenness_asks_for_moves(
        count in 1usize..8, partitions in 0usize..40, leaves in prop::collection::btree_set(0usize..8, 0..4), joins in 0usize..4,
    ) {
        let topics = GroupTopics::new([("a", partitions)]);
        let members: Vec<_> = (0..count).map(|n| GroupMember::new(format!("m{n}"), ["a"])).collect();
        let mut members = settle(members, &topics, 1);
        members = members.into_iter().enumerate().filter(|(n, _)| !leaves.contains(n)).map(|(_, m)| m).collect();
        members.extend((0..joins).map(|n| GroupMember::new(format!("new{n}"), ["a"])));
        if members.is_empty() { return Ok(()); }
        let given = CooperativeStickyAssignor.assign(&members, &topics);
        assert_fair(&members, &topics, &given);
        let kept: usize = members.iter().map(|m| given[&m.id].iter().filter(|p| m.owned.contains(p)).count()).sum();
        let (share, more) = (partitions / members.len(), partitions % members.len());
        let mut had: Vec<_> = members.iter().map(|m| m.owned.len()).collect();
        had.sort_unstable_by(|a, b| b.cmp(a));
        let most: usize = had.iter().enumerate().map(|(n, had)| (*had).min(share + usize::from(n < more))).sum();
        prop_assert_eq!(kept, most);
    }
}

#[test]
fn an_eager_member_keeps_what_its_user_data_tells() {
    let topics = GroupTopics::new([("a", 4)]);
    let mut old = GroupMember::new("z", ["a"]);
    let had: BTreeSet<_> = (0..4).map(|n| place(0, n)).collect();
    old.user_data = StickyAssignor.user_data(&had, Some(3));
    let members = [old, GroupMember::new("b", ["a"])];
    let given = StickyAssignor.assign(&members, &topics);
    assert_fair(&members, &topics, &given);
    assert!(given["z"].iter().all(|place| had.contains(place)));
}

#[test]
fn of_two_claims_the_newer_counts_and_of_two_equal_ones_none() {
    let topics = GroupTopics::new([("a", 2)]);
    let claim = |id: &str, generation: i32| {
        let mut member = GroupMember::new(id, ["a"]);
        member.owned = [place(0, 0)].into();
        member.generation = Some(generation);
        member
    };
    let given = CooperativeStickyAssignor.assign(&[claim("x", 4), claim("y", 5)], &topics);
    assert_eq!(given["y"], [place(0, 0)]);
    let members = [claim("x", 5), claim("y", 5)];
    assert_fair(
        &members,
        &topics,
        &CooperativeStickyAssignor.assign(&members, &topics),
    );
}

#[test]
fn a_partition_goes_to_a_member_of_its_rack_where_shares_allow_it() {
    let mut topics = GroupTopics::default();
    let racks = |rack: &str| BTreeSet::from([rack.to_owned()]);
    topics.insert("a", vec![racks("y"), racks("x")]);
    let near = |id: &str, rack: &str| {
        let mut member = GroupMember::new(id, ["a"]);
        member.rack = Some(rack.to_owned());
        member
    };
    let given = CooperativeStickyAssignor.assign(&[near("m", "x"), near("n", "y")], &topics);
    assert_eq!(given["m"], [place(0, 1)]);
    assert_eq!(given["n"], [place(0, 0)]);
}
