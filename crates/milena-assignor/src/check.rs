//! Checks of an assignment before the leader sends it. Each partition has one member, and none
//! moves while another member still owns it.

use std::collections::BTreeMap;

use milena_core::{Error, ErrorKind, Result, TopicPartition};

use crate::member::{GroupAssignment, GroupMember};

/// Removes partitions that another member still owns. That member gives them back first, and the
/// next rebalance assigns them (KIP-429).
pub fn withhold(assignment: &mut GroupAssignment, members: &[GroupMember]) {
    let mut holders: BTreeMap<&TopicPartition, Vec<&str>> = BTreeMap::new();
    for member in members {
        for place in &member.owned {
            holders.entry(place).or_default().push(&member.id);
        }
    }
    for (id, partitions) in assignment {
        partitions.retain(|place| {
            let held = holders.get(place);
            held.is_none_or(|holders| holders.contains(&id.as_str()))
        });
    }
}

/// Refuses an assignment that gives a partition to two members, or twice to one.
///
/// # Errors
/// [`ErrorKind::Config`] that names the assignor, the partition and both members.
pub fn check(assignment: &GroupAssignment, assignor: &str) -> Result<()> {
    let mut owners: BTreeMap<&TopicPartition, &str> = BTreeMap::new();
    for (id, partitions) in assignment {
        for place in partitions {
            if let Some(other) = owners.insert(place, id) {
                let what =
                    format!("the assignor `{assignor}` gave {place} to `{other}` and to `{id}`");
                return Err(Error::new(ErrorKind::Config, what)
                    .setting("partition.assignment.strategy")
                    .at(place));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u32) -> TopicPartition {
        TopicPartition::new("t", number)
    }

    #[test]
    fn a_partition_is_withheld_while_another_member_holds_it_and_kept_by_its_holder() {
        let mut old = GroupMember::new("old", ["t"]);
        old.owned = [place(0), place(1)].into();
        let members = [old, GroupMember::new("new", ["t"])];
        let mut assignment: GroupAssignment = [
            ("old".to_owned(), vec![place(0)]),
            ("new".to_owned(), vec![place(1), place(2)]),
        ]
        .into();
        withhold(&mut assignment, &members);
        assert_eq!(assignment["old"], [place(0)]);
        assert_eq!(assignment["new"], [place(2)]);
    }

    #[test]
    fn an_assignment_with_two_owners_names_both() {
        let assignment: GroupAssignment = [
            ("a".to_owned(), vec![place(0)]),
            ("b".to_owned(), vec![place(0)]),
        ]
        .into();
        let error = check(&assignment, "mine").unwrap_err().to_string();
        assert!(
            error.contains("`mine`") && error.contains("`a`") && error.contains("`b`"),
            "{error}"
        );
    }
}
