//! Who gets which partitions: the seam for assignors of classic groups, and Kafka's range assignor.

use std::collections::{BTreeMap, BTreeSet};

use milena_core::{Partition, TopicName, TopicPartition};

/// A member of the group, as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupMember {
    pub(crate) id: String,
    /// The static member's `group.instance.id`.
    pub(crate) instance: Option<String>,
    pub(crate) topics: BTreeSet<TopicName>,
}

/// Partitions by member id; every member is there, also with none.
pub(crate) type GroupAssignment = BTreeMap<String, Vec<TopicPartition>>;

/// Divides partitions among members; pure, run by the group's leader.
pub(crate) trait Assignor: Send + Sync {
    /// Its name in JoinGroup.
    fn name(&self) -> &'static str;

    /// The assignment; `counts` holds the partition count of each topic that exists.
    fn assign(
        &self,
        members: &[GroupMember],
        counts: &BTreeMap<TopicName, usize>,
    ) -> GroupAssignment;
}

/// Kafka's `range`: topic by topic, members in order each take a run of neighbouring partitions.
///
/// Members order by their instance id where both have one, else by member id; the first ones take one
/// partition more where the count does not divide. Topics with as many partitions are divided alike, so
/// that records of one key meet at one member.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RangeAssignor;

impl Assignor for RangeAssignor {
    fn name(&self) -> &'static str {
        "range"
    }

    fn assign(
        &self,
        members: &[GroupMember],
        counts: &BTreeMap<TopicName, usize>,
    ) -> GroupAssignment {
        let mut assignment: GroupAssignment = members
            .iter()
            .map(|member| (member.id.clone(), Vec::new()))
            .collect();
        let mut ordered: Vec<_> = members.iter().collect();
        ordered.sort_by(|a, b| match (&a.instance, &b.instance) {
            (Some(first), Some(second)) => first.cmp(second),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => a.id.cmp(&b.id),
        });
        for (topic, count) in counts {
            let takers: Vec<_> = ordered
                .iter()
                .filter(|member| member.topics.contains(topic))
                .collect();
            if takers.is_empty() {
                continue;
            }
            let (share, more) = (count / takers.len(), count % takers.len());
            let mut first = 0;
            for (index, member) in takers.iter().enumerate() {
                let end = first + share + usize::from(index < more);
                let run = (first..end).filter_map(|number| {
                    let partition = Partition::from_wire(i32::try_from(number).ok()?)?;
                    Some(TopicPartition::new(topic, partition))
                });
                if let Some(list) = assignment.get_mut(&member.id) {
                    list.extend(run);
                }
                first = end;
            }
        }
        assignment
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(id: &str, topics: &[&str]) -> GroupMember {
        GroupMember {
            id: id.into(),
            instance: None,
            topics: topics.iter().map(|topic| (*topic).into()).collect(),
        }
    }

    fn counts(counts: &[(&str, usize)]) -> BTreeMap<TopicName, usize> {
        counts
            .iter()
            .map(|(name, n)| ((*name).into(), *n))
            .collect()
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
        let given = RangeAssignor.assign(&members, &counts(&[("t", 7)]));
        assert_eq!(text(&given, "a"), ["t-0", "t-1", "t-2"]);
        assert_eq!(text(&given, "b"), ["t-3", "t-4"]);
        assert_eq!(text(&given, "c"), ["t-5", "t-6"]);
    }

    #[test]
    fn each_topic_is_divided_among_those_who_subscribed_to_it() {
        let members = [member("a", &["t", "u"]), member("b", &["u"])];
        let given = RangeAssignor.assign(&members, &counts(&[("t", 2), ("u", 2)]));
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
        let given = RangeAssignor.assign(&members, &counts(&[("t", 1)]));
        assert_eq!(text(&given, "a"), ["t-0"]);
        assert!(given["b"].is_empty() && given["c"].is_empty());
    }

    #[test]
    fn static_members_order_by_their_instance_and_before_the_others() {
        let mut late = member("1", &["t"]);
        late.instance = Some("z".into());
        let mut early = member("9", &["t"]);
        early.instance = Some("a".into());
        let given = RangeAssignor.assign(&[member("0", &["t"]), late, early], &counts(&[("t", 3)]));
        assert_eq!(text(&given, "9"), ["t-0"]);
        assert_eq!(text(&given, "1"), ["t-1"]);
        assert_eq!(text(&given, "0"), ["t-2"]);
    }

    proptest! {
        #[test]
        fn every_partition_goes_to_exactly_one_subscriber_and_shares_differ_by_one(
            subscriptions in prop::collection::vec(prop::collection::btree_set(0usize..4, 0..4), 1..8),
            partitions in prop::collection::vec(0usize..20, 4),
        ) {
            let names = ["a", "b", "c", "d"];
            let members: Vec<_> = subscriptions.iter().enumerate().map(|(i, set)| {
                let topics: Vec<_> = set.iter().map(|t| names[*t]).collect();
                member(&format!("m{i}"), &topics)
            }).collect();
            let counts: BTreeMap<TopicName, usize> =
                names.iter().zip(&partitions).map(|(n, c)| ((*n).into(), *c)).collect();
            let given = RangeAssignor.assign(&members, &counts);
            prop_assert_eq!(given.len(), members.len());
            for (name, count) in names.iter().zip(&partitions) {
                let mut seen = Vec::new();
                let mut shares = Vec::new();
                for m in &members {
                    let own: Vec<_> = given[&m.id].iter().filter(|p| p.topic == *name).collect();
                    if m.topics.contains(*name) { shares.push(own.len()); } else { prop_assert!(own.is_empty()); }
                    seen.extend(own.iter().map(|p| p.partition.index()));
                }
                seen.sort_unstable();
                let expected: Vec<_> = if shares.is_empty() { vec![] } else { (0..*count).collect() };
                prop_assert_eq!(seen, expected);
                if let (Some(least), Some(most)) = (shares.iter().min(), shares.iter().max()) {
                    prop_assert!(most - least <= 1);
                }
            }
        }
    }
}
