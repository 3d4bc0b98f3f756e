//! `milena offsets`, which shows, resets and deletes committed offsets.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, Subcommand};
use milena::admin::{CommittedOffset, PerItem, ResetPlan, ResetScope, ResetTo};
use milena::{ErrorCode, Offset, Result, Timestamp, TopicPartition};
use serde_json::json;

use super::topics::{Scope, scope};
use crate::args::duration;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::output::{self, Format, Table};
use crate::session::Session;

/// The action on committed offsets.
#[derive(Debug, Subcommand)]
pub(crate) enum OffsetsVerb {
    /// Shows the committed offsets of groups.
    Show {
        /// The groups.
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Moves the offsets of a group, after showing them and asking. The group must have no members.
    Reset(Reset),
    /// Deletes the committed offsets of a topic or partition, which the group then begins anew.
    Delete {
        /// The group.
        group: String,
        /// Topics or partitions.
        #[arg(required = true, value_name = "TOPIC[:PARTITION]", value_parser = scope)]
        places: Vec<Scope>,
    },
}

/// The group, its partitions and their new offsets.
#[derive(Debug, Args)]
pub(crate) struct Reset {
    /// The group.
    group: String,
    /// A topic or partition. May be given several times.
    #[arg(long = "topic", value_name = "TOPIC[:PARTITION]", value_parser = scope, required_unless_present = "all_topics")]
    topics: Vec<Scope>,
    /// All partitions with a committed offset of the group.
    #[arg(long, conflicts_with = "topics")]
    all_topics: bool,
    #[command(flatten)]
    to: To,
    /// Only shows the changes.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// To the first record.
    #[arg(long)]
    to_earliest: bool,
    /// To the end, after the last record.
    #[arg(long)]
    to_latest: bool,
    /// To the present offset, moved into the range that exists. A partition without a commit goes
    /// to its end, which is reported.
    #[arg(long)]
    to_current: bool,
    /// To this offset.
    #[arg(long, value_name = "N")]
    to_offset: Option<i64>,
    /// By this many records, backwards if negative.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To the first record since this time, given as milliseconds since 1970, 2026-02-17,
    /// 2026-02-17T09:30:00Z or 2026-02-17T09:30:00+02:00.
    #[arg(long, value_name = "TIME", value_parser = super::time::time, allow_hyphen_values = true)]
    to_datetime: Option<i64>,
    /// To the first record of the last 30m, 2h, 1d ...
    #[arg(long, value_name = "TIME", value_parser = duration)]
    by_duration: Option<Duration>,
}

impl To {
    /// Returns the target of the options.
    fn target(&self) -> Result<ResetTo, Failure> {
        Ok(match self {
            Self {
                to_earliest: true, ..
            } => ResetTo::Earliest,
            Self {
                to_latest: true, ..
            } => ResetTo::Latest,
            Self {
                to_offset: Some(offset),
                ..
            } => {
                let offset = Offset::from_wire(*offset);
                ResetTo::Offset(
                    offset.ok_or_else(|| Failure::usage("an offset cannot be negative"))?,
                )
            }
            Self {
                shift_by: Some(by), ..
            } => ResetTo::ShiftBy(*by),
            Self {
                to_datetime: Some(time),
                ..
            } => ResetTo::Timestamp(Timestamp::from_millis(*time)),
            Self {
                by_duration: Some(time),
                ..
            } => ResetTo::Duration(*time),
            Self { .. } => ResetTo::Current,
        })
    }
}

pub(super) async fn run(verb: OffsetsVerb, session: &Session) -> Result<(), Failure> {
    match verb {
        OffsetsVerb::Show { groups } => {
            let committed = session.admin.group_offsets(groups).await;
            let committed = known(session, committed).await;
            session
                .good(committed, |groups| {
                    let columns = [
                        "group",
                        "topic",
                        "partition",
                        "offset",
                        "leader_epoch",
                        "metadata",
                    ];
                    let mut table = Table::new(&columns);
                    for (group, offsets) in groups {
                        for (place, committed) in offsets {
                            table.row([
                                json!(group),
                                json!(place.topic.as_str()),
                                json!(place.partition.to_wire()),
                                json!(committed.offset.to_wire()),
                                json!(committed.leader_epoch.map(milena::LeaderEpoch::to_wire)),
                                json!(committed.metadata),
                            ]);
                        }
                    }
                    output::show(session.format(), &table)
                })
                .await
        }
        OffsetsVerb::Reset(args) => reset(session, args).await,
        OffsetsVerb::Delete { group, places } => {
            let what = format!("delete committed offsets of {group}");
            confirm(&session.global, &what)?;
            let places = super::topics::places(session, places).await?;
            let deleted = session.admin.delete_offsets(&group, places).await;
            session
                .good(deleted, |places| {
                    let mut table = Table::new(&["group", "topic", "partition", "state"]);
                    for (place, ()) in places {
                        table.row([
                            json!(group),
                            json!(place.topic.as_str()),
                            json!(place.partition.to_wire()),
                            json!("deleted"),
                        ]);
                    }
                    output::show(session.format(), &table)
                })
                .await
        }
    }
}

/// Shows the plan, asks, and moves the group.
async fn reset(session: &Session, args: Reset) -> Result<(), Failure> {
    let to = args.to.target()?;
    let scope = args
        .topics
        .into_iter()
        .map(|(topic, partition)| match partition {
            Some(partition) => ResetScope::Partition(TopicPartition::new(topic, partition)),
            None => ResetScope::Topic(topic.into()),
        });
    let mut scope: Vec<ResetScope> = scope.collect();
    if args.all_topics {
        scope.push(ResetScope::Committed);
    }
    let plan = session.admin.plan_reset(&args.group, scope, to).await?;
    if plan.moves.is_empty() {
        return Err(nothing_to_move(session, &args.group).await?);
    }
    show(session, &plan).await?;
    if to == ResetTo::Current {
        told_of_the_uncommitted(&plan);
    }
    if args.dry_run {
        return Ok(());
    }
    let moves = plan.moves.len();
    confirm(
        &session.global,
        &format!("move {} in {moves} partitions", args.group),
    )?;
    let applied = session.admin.apply_reset(&plan).await?;
    session.good(applied, |_| Ok(())).await
}

/// Warns about partitions without a commit. Keeping a group at its offset skips all records where
/// it has none.
fn told_of_the_uncommitted(plan: &ResetPlan) {
    let nowhere = plan.moves.iter().filter(|(_, planned)| {
        matches!(planned, Ok(planned) if planned.from.is_none() && planned.start < planned.end)
    });
    let places: Vec<String> = nowhere.map(|(place, _)| place.to_string()).collect();
    if !places.is_empty() {
        crate::complain(&format!(
            "nothing is committed in {}, which goes to the end: its records are skipped",
            places.join(", ")
        ));
    }
}

/// Returns the same results, with an error for each group that has no commits because it does not
/// exist.
async fn known(
    session: &Session,
    committed: PerItem<String, Committed>,
) -> Vec<(String, Result<Committed>)> {
    let empty = committed.iter().filter_map(|(group, offsets)| {
        let offsets = offsets.as_ref().ok()?;
        offsets.is_empty().then(|| group.clone())
    });
    let empty: Vec<String> = empty.collect();
    let described = session.admin.describe_groups(empty).await;
    let offsets = committed.into_iter().map(|(group, offsets)| {
        let missing = described.of(&group).and_then(|group| group.as_ref().err());
        let offsets = match missing {
            Some(error) if error.code() == Some(ErrorCode::GROUP_ID_NOT_FOUND) => {
                Err(error.clone())
            }
            _ => offsets,
        };
        (group, offsets)
    });
    offsets.collect()
}

type Committed = BTreeMap<TopicPartition, CommittedOffset>;

/// Returns the reason that a group has no committed offsets to move.
async fn nothing_to_move(session: &Session, group: &str) -> Result<Failure, Failure> {
    let described = session.admin.describe_groups([group]).await.all()?;
    let members = described.iter().map(|group| group.members.len()).sum();
    Ok(match members {
        0 => Failure::state(format!("{group} has committed nothing"))
            .hint("name topics by --topic to place it there"),
        members => Failure::state(format!(
            "{group} has {members} active members and has committed nothing yet"
        )),
    })
}

/// Shows a plan.
async fn show(session: &Session, plan: &ResetPlan) -> Result<(), Failure> {
    let format: Format = session.format();
    session
        .good(plan.moves.clone(), |moves| {
            let columns = ["group", "topic", "partition", "from", "to", "start", "end"];
            let mut table = Table::new(&columns);
            for (place, planned) in moves {
                table.row([
                    json!(plan.group),
                    json!(place.topic.as_str()),
                    json!(place.partition.to_wire()),
                    json!(planned.from.map(Offset::to_wire)),
                    json!(planned.to.to_wire()),
                    json!(planned.start.to_wire()),
                    json!(planned.end.to_wire()),
                ]);
            }
            output::show(format, &table)
        })
        .await
}
