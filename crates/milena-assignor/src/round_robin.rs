//! Kafka's `roundrobin` assignor. It deals the partitions of all topics out to the members in turn.

use milena_core::AssignorName;

use crate::assignor::Assignor;
use crate::member::{GroupAssignment, GroupMember, in_order};
use crate::topics::GroupTopics;

/// Kafka's `roundrobin` assignor. Partitions, ordered by topic and number, go to the members in
/// turn. A member that did not subscribe to the topic is skipped.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobinAssignor;

impl Assignor for RoundRobinAssignor {
    fn name(&self) -> &str {
        AssignorName::RoundRobin.name()
    }

    fn assign(&self, members: &[GroupMember], topics: &GroupTopics) -> GroupAssignment {
        let ordered = in_order(members);
        let mut assignment: GroupAssignment = members
            .iter()
            .map(|member| (member.id.clone(), Vec::new()))
            .collect();
        let mut turn = 0;
        for place in topics.partitions() {
            let takers = (turn..turn + ordered.len())
                .filter_map(|at| Some((at, ordered.get(at % ordered.len())?)));
            let taker = takers
                .into_iter()
                .find(|(_, member)| member.topics.contains(&place.topic));
            let Some((at, taker)) = taker else { continue };
            turn = (at + 1) % ordered.len();
            if let Some(list) = assignment.get_mut(&taker.id) {
                list.push(place);
            }
        }
        assignment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(assignment: &GroupAssignment, id: &str) -> Vec<String> {
        assignment[id].iter().map(ToString::to_string).collect()
    }

    #[test]
    fn partitions_go_round_the_members() {
        let members = [
            GroupMember::new("b", ["t", "u"]),
            GroupMember::new("a", ["t", "u"]),
        ];
        let given = RoundRobinAssignor.assign(&members, &GroupTopics::new([("t", 3), ("u", 3)]));
        assert_eq!(text(&given, "a"), ["t-0", "t-2", "u-1"]);
        assert_eq!(text(&given, "b"), ["t-1", "u-0", "u-2"]);
    }

    #[test]
    fn a_member_that_did_not_subscribe_is_passed_over() {
        let members = [
            GroupMember::new("a", ["t"]),
            GroupMember::new("b", ["t", "u"]),
            GroupMember::new("c", ["t", "u"]),
        ];
        let given =
            RoundRobinAssignor.assign(&members, &GroupTopics::new([("t", 1), ("u", 2), ("v", 1)]));
        assert_eq!(text(&given, "a"), ["t-0"]);
        assert_eq!(text(&given, "b"), ["u-0"]);
        assert_eq!(text(&given, "c"), ["u-1"]);
    }
}
