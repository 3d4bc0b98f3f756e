//! `milena dlq`, which shows dead letters and sends them back.

mod which;

use clap::{Args, Subcommand};
use milena::{IsolationLevel, Offset, Partition};
use milena_client::dead_letters::FoundLetter;
use serde_json::json;

pub(crate) use which::Which;

use super::places::Until;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::format::{Shown, json_line};
use crate::output::{self, Format, Table};
use crate::session::Session;

/// The action on dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DlqVerb {
    /// Counts letters by the topic they came from and the class of their error.
    Summary {
        /// The dead letter topic.
        topic: String,
        #[command(flatten)]
        which: Which,
    },
    /// Lists letters with their origin and error. SAME_RECORD_AS names an earlier letter of the
    /// same record. A consumer that crashed before its commit wrote that record again.
    List {
        /// The dead letter topic.
        topic: String,
        #[command(flatten)]
        which: Which,
        /// The largest number of letters.
        #[arg(short, long, value_name = "N", default_value_t = 100)]
        count: usize,
    },
    /// Shows one letter with its headers, as JSON.
    Show {
        /// The dead letter topic.
        topic: String,
        partition: u32,
        #[arg(value_parser = clap::value_parser!(i64).range(0..))]
        offset: i64,
    },
    /// Writes letters as lines of JSON.
    Export {
        /// The dead letter topic.
        topic: String,
        #[command(flatten)]
        which: Which,
    },
    /// Sends letters back to the topics they came from. They stay in the dead letter topic, where
    /// they are marked as sent. Of several letters of one record only the first is sent. The others
    /// are counted as copies.
    Replay(Replay),
}

/// The letters to send back, and the way.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The dead letter topic.
    topic: String,
    #[command(flatten)]
    which: Which,
    /// Sends all letters to this topic.
    #[arg(long, value_name = "TOPIC")]
    to: Option<String>,
    /// The largest number of letters per second.
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Skips letters that were sent back this many times before.
    #[arg(long, value_name = "N", default_value_t = 3)]
    max_replays: u64,
    /// Also sends letters that were sent back before.
    #[arg(long)]
    again: bool,
    /// Lets the keys choose partitions. Without it, each letter goes to the partition it came from.
    #[arg(long)]
    by_key: bool,
    /// Only shows how many letters would be sent.
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(verb: DlqVerb, session: &Session) -> Result<(), Failure> {
    let client = &session.client;
    match verb {
        DlqVerb::Summary { topic, which } => {
            session.partitions_of(&topic).await?;
            let counts = client.dead_letters(topic).summary(&which.filter()).await?;
            let mut table = Table::new(&["origin", "class", "letters"]);
            for (origin, class, count) in counts {
                table.row([json!(origin), json!(class), json!(count)]);
            }
            output::show(session.format(), &table)
        }
        DlqVerb::List {
            topic,
            which,
            count,
        } => {
            session.partitions_of(&topic).await?;
            let mut letters = client
                .dead_letters(topic)
                .list(&which.filter(), count.saturating_add(1))
                .await?;
            let more = letters.len() > count;
            letters.truncate(count);
            list(session, &letters)?;
            if more {
                crate::complain(&format!(
                    "there are more than {count} letters; --count N shows more of them"
                ));
            }
            Ok(())
        }
        DlqVerb::Show {
            topic,
            partition,
            offset,
        } => {
            let places = session.chosen(&topic, &[partition]).await?;
            let wanted = Offset::from_wire(offset).unwrap_or_default();
            let none = || {
                Failure::not_found(format!(
                    "there is no letter at {topic}-{partition}@{offset}"
                ))
            };
            // A read behind the end would wait for new records.
            let range = session.ranges(&places, Until::End, IsolationLevel::ReadCommitted);
            if !range.await?.values().any(|range| range.contains(&wanted)) {
                return Err(none());
            }
            let letters = client.dead_letters(topic.as_str());
            let found = letters.show(Partition::new(partition), wanted).await?;
            let (Some(found), Some(place)) = (found, places.first()) else {
                return Err(none());
            };
            let mut line = Vec::new();
            json_line(&Shown::owned(place, &found.record), &mut line);
            match session.format() {
                Format::Yaml => {
                    let value = serde_json::from_slice(&line).unwrap_or_default();
                    output::show_with(Format::Yaml, &[], || value)
                }
                _ => output::write(&line),
            }
        }
        DlqVerb::Export { topic, which } => {
            session.partitions_of(&topic).await?;
            let mut out = Output::default();
            let exported = client
                .dead_letters(topic)
                .export(&which.filter(), &mut out)
                .await;
            // The output's own error is more precise than that of the export.
            out.end()?;
            exported?;
            Ok(())
        }
        DlqVerb::Replay(args) => replay(args, session).await,
    }
}

/// Shows letters as a table.
fn list(session: &Session, letters: &[FoundLetter]) -> Result<(), Failure> {
    let columns = [
        "partition",
        "offset",
        "origin",
        "from_partition",
        "from_offset",
        "group",
        "class",
        "attempts",
        "replays",
        "message",
        "same_record_as",
    ];
    let mut table = Table::new(&columns);
    for found in letters {
        let letter = found.letter.as_ref();
        table.row([
            json!(found.record.partition.to_wire()),
            json!(found.record.offset.to_wire()),
            json!(letter.map(|letter| letter.topic.as_str())),
            json!(
                letter
                    .and_then(|letter| letter.partition)
                    .map(Partition::to_wire)
            ),
            json!(letter.and_then(|letter| letter.offset).map(Offset::to_wire)),
            json!(letter.and_then(|letter| letter.group.as_ref())),
            json!(letter.and_then(|letter| letter.class.as_ref())),
            json!(letter.and_then(|letter| letter.attempts)),
            json!(letter.map(|letter| letter.replays)),
            json!(letter.and_then(|letter| letter.message.as_ref())),
            json!(
                found
                    .same_as
                    .map(|(partition, offset)| format!("{partition}@{offset}"))
            ),
        ]);
    }
    output::show(session.format(), &table)
}

/// Sends letters back, after a dry run and a question.
async fn replay(args: Replay, session: &Session) -> Result<(), Failure> {
    session.partitions_of(&args.topic).await?;
    let letters = session.client.dead_letters(args.topic.as_str());
    let filter = args.which.filter();
    let prepared = || {
        let mut replay = letters.replay(filter.clone()).max_replays(args.max_replays);
        if args.again {
            replay = replay.again();
        }
        if args.by_key {
            replay = replay.by_key();
        }
        if let Some(topic) = &args.to {
            replay = replay.to(topic.as_str());
        }
        match args.rate {
            Some(rate) => replay.rate(rate),
            None => replay,
        }
    };
    let planned = prepared().dry_run().run().await?;
    let report = match args.dry_run || planned.replayed == 0 {
        true => planned,
        false => {
            confirm(
                &session.global,
                &format!("send back {} letters", planned.replayed),
            )?;
            prepared().run().await?
        }
    };
    // A dry run sends nothing, which the name of the column shows.
    let sent = match args.dry_run {
        true => "would_be_replayed",
        false => "replayed",
    };
    let columns = [
        sent, "already", "stubs", "looping", "homeless", "failed", "copies",
    ];
    let mut table = Table::new(&columns);
    table.row([
        json!(report.replayed),
        json!(report.already),
        json!(report.stubs),
        json!(report.looping),
        json!(report.homeless),
        json!(report.failed.len()),
        json!(report.copies),
    ]);
    output::show(session.format(), &table)?;
    if let Some(error) = report.unmarked {
        let what =
            "letters that were sent could not be marked, and another replay would send them again";
        return Err(Failure::from(error).before(what.to_owned()));
    }
    match report.failed.into_iter().next() {
        Some((place, offset, error)) => {
            Err(Failure::from(error).before(format!("{place}@{offset}")))
        }
        None => Ok(()),
    }
}

/// Standard output that keeps its error.
#[derive(Default)]
struct Output {
    /// The bytes that are not written yet.
    held: Vec<u8>,
    /// The error of the last write. `None` if all went well.
    failed: Option<std::io::Error>,
}

impl Output {
    /// Writes the rest. Returns the error if a write failed.
    fn end(mut self) -> Result<(), Failure> {
        let flushed = std::io::Write::flush(&mut self);
        match self.failed.take() {
            Some(error) => Err(error.into()),
            None => Ok(flushed?),
        }
    }
}

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= HELD {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(&self.held).and_then(|()| stdout.flush());
        self.held.clear();
        written.inspect_err(|error| {
            let seen = error.raw_os_error().map(std::io::Error::from_raw_os_error);
            self.failed = Some(seen.unwrap_or_else(|| error.kind().into()));
        })
    }
}

const HELD: usize = 64 << 10;
