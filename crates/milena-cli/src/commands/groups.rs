//! `milena groups`, which lists, describes and deletes groups.

use clap::Subcommand;
use milena::admin::{GroupDescription, GroupState, GroupType, ListGroups};
use serde_json::json;

use super::topics::deleted_rows;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// The action on groups.
#[derive(Debug, Subcommand)]
pub(crate) enum GroupsVerb {
    /// Lists groups.
    List {
        /// Shows only groups in this state, such as Stable or Empty. May be given several times.
        #[arg(long = "state", value_parser = state)]
        states: Vec<GroupState>,
        /// Shows only groups of this type, such as Classic or Consumer. May be given several times.
        #[arg(long = "type", value_parser = kind)]
        types: Vec<GroupType>,
    },
    /// Describes groups with their members.
    Describe {
        /// The groups. Without any, all groups.
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Deletes groups with their committed offsets.
    Delete {
        /// The groups.
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
}

fn state(word: &str) -> Result<GroupState, String> {
    match GroupState::from_word(word) {
        GroupState::Unknown => Err(format!("'{word}' is not a state of a group")),
        state => Ok(state),
    }
}

fn kind(word: &str) -> Result<GroupType, String> {
    match GroupType::from_word(word) {
        GroupType::Unknown => Err(format!("'{word}' is not a type of a group")),
        kind => Ok(kind),
    }
}

pub(super) async fn run(verb: GroupsVerb, session: &Session) -> Result<(), Failure> {
    match verb {
        GroupsVerb::List { states, types } => {
            let which = ListGroups::all().states(states).types(types);
            let (groups, failure) = session.listed(which).await?;
            let mut table = Table::new(&["group", "state", "type", "protocol", "coordinator"]);
            for group in groups {
                table.row([
                    json!(group.group),
                    json!(group.state.map(GroupState::word)),
                    json!(group.kind.map(GroupType::word)),
                    json!(group.protocol_type),
                    json!(group.coordinator.to_wire()),
                ]);
            }
            output::show(session.format(), &table)?;
            failure.map_or(Ok(()), Err)
        }
        GroupsVerb::Describe { mut groups } => {
            let mut failure = None;
            if groups.is_empty() {
                let (all, failed) = session.listed(ListGroups::all()).await?;
                groups.extend(all.into_iter().map(|group| group.group));
                failure = failed;
            }
            let described = session.admin.describe_groups(groups).await;
            session
                .good(described, |groups| {
                    let groups: Vec<_> = groups.into_iter().map(|(_, group)| group).collect();
                    show(session, &groups)
                })
                .await?;
            failure.map_or(Ok(()), Err)
        }
        GroupsVerb::Delete { groups } => {
            confirm(&session.global, &format!("delete {}", groups.join(", ")))?;
            let deleted = session.admin.delete_groups(groups).await;
            session
                .good(deleted, |groups| {
                    let names = groups.iter().map(|(group, ())| group.as_str());
                    output::show(session.format(), &deleted_rows("group", names))
                })
                .await
        }
    }
}

/// Shows groups and their members.
fn show(session: &Session, groups: &[GroupDescription]) -> Result<(), Failure> {
    let mut about = Table::new(&[
        "group",
        "state",
        "type",
        "assignor",
        "coordinator",
        "members",
    ]);
    let mut members = Table::new(&[
        "group",
        "member",
        "client",
        "host",
        "instance",
        "partitions",
    ]);
    for group in groups {
        about.row([
            json!(group.group),
            json!(group.state.word()),
            json!(group.kind.word()),
            json!(group.assignor),
            json!(group.coordinator.to_wire()),
            json!(group.members.len()),
        ]);
        for member in &group.members {
            let places: Vec<String> = member.assignment.iter().map(ToString::to_string).collect();
            members.row([
                json!(group.group),
                json!(member.id),
                json!(member.client_id),
                json!(member.client_host.trim_start_matches('/')),
                json!(member.instance_id),
                json!(places),
            ]);
        }
    }
    let value = json!({"groups": about.to_value(), "members": members.to_value()});
    let mut tables = vec![about];
    if groups.iter().any(|group| !group.members.is_empty()) {
        tables.push(members);
    }
    output::show_with(session.format(), &tables, || value)
}
