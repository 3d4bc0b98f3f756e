//! `milena lag`, which shows how far groups are behind.

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
use crate::signals::Signals;

/// The groups to show, and the form.
#[derive(Debug, Args)]
pub(crate) struct Lag {
    /// The groups. Without any, all groups.
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,
    /// Shows the lag again and again until interrupted.
    #[arg(short, long)]
    watch: bool,
    /// The time between two looks, at least 100ms.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    interval: Duration,
    /// Shows one line per group instead of one per partition.
    #[arg(long)]
    summary: bool,
    /// Ends with code 1 if a group is more records behind, and with code 8 if the lag of a
    /// partition is not known. It is not known if the partition holds records and nothing is
    /// committed, if more is committed than it holds, or if a broker did not answer.
    #[arg(long, value_name = "RECORDS")]
    max: Option<u64>,
}

pub(super) async fn run(args: Lag, session: &Session) -> Result<(), Failure> {
    if !args.watch {
        let seen = once(&args, session).await?;
        return judged(&args, seen);
    }
    let signals = Signals::watch();
    loop {
        tokio::select! {
            // A refused group, or a broker that is down for a while, does not end the watch.
            seen = once(&args, session) => match seen {
                Ok(Seen { failure: Some(failure), .. }) | Err(failure) if !failure.is_output() => {
                    crate::complain(&failure);
                }
                Ok(_) => {}
                Err(failure) => return Err(failure),
            },
            () = signals.asked() => return Ok(()),
        }
        tokio::select! {
            () = signals.asked() => return Ok(()),
            () = tokio::time::sleep(args.interval.max(SHORTEST)) => {}
        }
    }
}

/// The result of one look.
struct Seen {
    /// The group that is furthest behind, of those whose lag is known.
    worst: Option<(String, u64)>,
    /// The number of partitions, and of groups without any, whose lag is not known.
    unknown: usize,
    /// The last failure to find something out. `None` if everything was found.
    failure: Option<Failure>,
}

/// Turns a look into the result of the command.
fn judged(args: &Lag, seen: Seen) -> Result<(), Failure> {
    let Some(max) = args.max else {
        return seen.failure.map_or(Ok(()), Err);
    };
    if let Some((group, worst)) = seen.worst.filter(|(_, worst)| *worst > max) {
        if let Some(failure) = seen.failure {
            crate::complain(&failure);
        }
        let words = format!("{group} is {worst} records behind, more than {max}");
        return Err(Failure::failed(words));
    }
    // A monitoring script must not take an unknown lag for no lag.
    if seen.unknown > 0 || seen.failure.is_some() {
        if let Some(failure) = seen.failure {
            crate::complain(&failure);
        }
        let words = format!(
            "the lag of {} partitions is not known, so it cannot be compared with {max}",
            seen.unknown
        );
        return Err(Failure::unknown(words));
    }
    Ok(())
}

/// Shows the lag once.
async fn once(args: &Lag, session: &Session) -> Result<Seen, Failure> {
    let named = !args.groups.is_empty();
    let mut failure = None;
    let groups = match named {
        true => args.groups.clone(),
        false => {
            let (groups, failed) = session.listed(ListGroups::all()).await?;
            failure = failed;
            groups.into_iter().map(|group| group.group).collect()
        }
    };
    let mut found = Vec::new();
    for (group, lag) in session.admin.lag(groups).await {
        let there = |lag: &GroupLag| lag.description.is_some() || !lag.partitions.is_empty();
        match lag {
            // A group from the list may have been deleted since.
            Ok(lag) if there(&lag) => found.push((group, lag)),
            Ok(_) if named => {
                note(session, &mut failure, no_group(&group).into()).await;
            }
            Ok(_) => {}
            Err(error) => note(session, &mut failure, error.into()).await,
        }
    }
    let errors = found.iter().flat_map(|(_, lag)| lag.partitions.iter());
    let mut told: Vec<Failure> = Vec::new();
    for (_, lag) in errors {
        if let Err(error) = lag {
            told.push(Failure::from(error.clone()));
        }
    }
    for each in told {
        note(session, &mut failure, each).await;
    }
    let format = session.format();
    let table = match args.summary {
        true => summary(&found),
        false => detail(&found),
    };
    if args.watch && format == Format::Table && std::io::stdout().is_terminal() {
        output::write(b"\x1b[2J\x1b[H")?;
    }
    output::show(format, &table)?;
    let totals = found.iter().map(|(group, lag)| (group, lag.records()));
    let worst = totals.max_by_key(|(_, records)| *records);
    let unknown = |lag: &GroupLag| match lag.partitions.len() {
        // The group has committed nothing, so its lag cannot be known.
        0 => 1,
        _ => lag.unknown(),
    };
    Ok(Seen {
        worst: worst.map(|(group, records)| (group.clone(), records)),
        unknown: found.iter().map(|(_, lag)| unknown(lag)).sum(),
        failure,
    })
}

/// Keeps the last failure for the end, and prints the one before it.
async fn note(session: &Session, last: &mut Option<Failure>, failure: Failure) {
    let failure = crate::nearest::hint(session, failure).await;
    if let Some(before) = last.replace(failure) {
        crate::complain(&before);
    }
}

/// Returns a table of one row per group.
fn summary(groups: &[(String, GroupLag)]) -> Table {
    let columns = ["group", "state", "partitions", "lag", "seconds", "unknown"];
    let mut table = Table::new(&columns);
    for (group, lag) in groups {
        let known = lag.partitions.len() > lag.unknown();
        table.row([
            json!(group),
            json!(lag.description.as_ref().map(|group| group.state.word())),
            json!(lag.partitions.len()),
            // An unknown lag is not zero.
            json!(known.then(|| lag.records())),
            json!(lag.behind().map(seconds)),
            json!(lag.unknown()),
        ]);
    }
    table
}

/// Returns a table of one row per partition.
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
        "note",
    ]);
    for (group, lag) in groups {
        for (place, lag) in lag.partitions.iter() {
            let note = match lag {
                Err(error) => Some(Failure::from(error.clone()).to_string()),
                Ok(lag) if lag.is_above_end() => Some("committed above the end".to_owned()),
                Ok(lag) if lag.committed.is_none() => Some("nothing committed".to_owned()),
                Ok(_) => None,
            };
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
                json!(note),
            ]);
        }
    }
    table
}

/// The shortest time between two looks. It bounds the load on a cluster that many people watch.
const SHORTEST: Duration = Duration::from_millis(100);

/// Returns seconds with one decimal place.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 10.0).round() / 10.0
}
