//! `milena lag`: how far groups are behind.

use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use milena::Offset;
use milena::admin::{GroupLag, ListGroups};
use serde_json::json;

use crate::args::duration;
use crate::failure::Failure;
use crate::output::{self, Format, Table};
use crate::session::{Session, no_group};

/// Which groups, and how often.
#[derive(Debug, Args)]
pub(crate) struct Lag {
    /// The groups; none means all.
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// Shows it again and again until interrupted.
    #[arg(short, long)]
    watch: bool,
    /// How long to wait in between, at least 100ms.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    interval: Duration,
    /// A line per group in place of one per partition.
    #[arg(long)]
    summary: bool,
    /// Ends with code 1 where a group is more records behind.
    #[arg(long, value_name = "RECORDS")]
    max: Option<u64>,
}

pub(super) async fn run(args: Lag, session: &Session) -> Result<(), Failure> {
    let signal = milena::shutdown_signal();
    let mut signal = std::pin::pin!(signal);
    loop {
        let worst = once(&args, session).await?;
        if !args.watch {
            return match args.max.filter(|max| worst > *max) {
                Some(max) => {
                    let words = format!("a group is {worst} records behind, more than {max}");
                    Err(Failure::failed(words))
                }
                None => Ok(()),
            };
        }
        tokio::select! {
            _ = &mut signal => return Ok(()),
            () = tokio::time::sleep(args.interval.max(SHORTEST)) => {}
        }
    }
}

/// Shows it once; gives the largest lag of a group.
async fn once(args: &Lag, session: &Session) -> Result<u64, Failure> {
    let groups = match args.groups.is_empty() {
        false => args.groups.clone(),
        true => {
            let groups = session.admin.list_groups(ListGroups::all()).await?.all()?;
            groups.into_iter().map(|group| group.group).collect()
        }
    };
    let lag = session.admin.lag(groups).await;
    // One of those that were listed may be gone by now.
    let named = !args.groups.is_empty();
    let lag = lag.into_iter().map(|(group, lag)| {
        let there = |lag: &GroupLag| lag.description.is_some() || !lag.partitions.is_empty();
        let lag = match lag {
            Ok(lag) if named && !there(&lag) => Err(no_group(&group)),
            lag => lag,
        };
        (group, lag)
    });
    let mut worst = 0;
    session
        .good(lag, |groups| {
            let totals = groups.iter().map(|(_, lag)| lag.records());
            worst = totals.max().unwrap_or(0);
            let table = match args.summary {
                true => summary(&groups),
                false => detail(&groups),
            };
            let format = session.format();
            if args.watch && format == Format::Table && std::io::stdout().is_terminal() {
                output::write(b"\x1b[2J\x1b[H")?;
            }
            output::show(format, &table)
        })
        .await?;
    Ok(worst)
}

fn summary(groups: &[(String, GroupLag)]) -> Table {
    let mut table = Table::new(&["group", "state", "partitions", "lag", "seconds"]);
    for (group, lag) in groups {
        table.row([
            json!(group),
            json!(lag.description.as_ref().map(|group| group.state.word())),
            json!(lag.partitions.len()),
            json!(lag.records()),
            json!(lag.behind().map(seconds)),
        ]);
    }
    table
}

fn detail(groups: &[(String, GroupLag)]) -> Table {
    let mut table = Table::new(&[
        "group",
        "topic",
        "partition",
        "committed",
        "end",
        "lag",
        "seconds",
        "member",
        "host",
    ]);
    for (group, lag) in groups {
        for (place, lag) in lag.partitions.iter() {
            let lag = lag.as_ref().ok();
            let member = lag.and_then(|lag| lag.member.as_ref());
            table.row([
                json!(group),
                json!(place.topic.as_str()),
                json!(place.partition.to_wire()),
                json!(lag.and_then(|lag| lag.committed).map(Offset::to_wire)),
                json!(lag.map(|lag| lag.end.to_wire())),
                json!(lag.and_then(|lag| lag.records)),
                json!(lag.and_then(|lag| lag.behind).map(seconds)),
                json!(member.map(|member| &member.id)),
                json!(member.map(|member| member.client_host.trim_start_matches('/'))),
            ]);
        }
    }
    table
}

/// A cluster that many watch is not to be kept busy by it.
const SHORTEST: Duration = Duration::from_millis(100);

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}
