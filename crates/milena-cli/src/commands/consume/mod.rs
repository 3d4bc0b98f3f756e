//! `milena consume`: records to standard output.

mod filter;
mod sink;

use std::time::Duration;

use clap::Args;
use milena::{IsolationLevel, OffsetReset, TopicPartition};

use self::sink::Sink;
use super::source::{From, Source, Until, from, until};
use crate::failure::Failure;
use crate::format::RecordFormat;
use crate::session::Session;

/// What is read, and how it is written.
#[derive(Debug, Args)]
pub(crate) struct Consume {
    topic: String,
    /// Begins at the first record there is; without this and --offset, at what comes from now on.
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Begins at: beginning, end, an offset, -N for the last N of each partition, @TIME.
    #[arg(long, value_name = "WHERE", value_parser = from, allow_hyphen_values = true)]
    offset: Option<From>,
    /// Only this partition; may be given again.
    #[arg(short, long = "partition", value_name = "N")]
    partitions: Vec<u32>,
    /// Reads as a member of this group, which goes on where it was and commits what was shown.
    #[arg(short, long, value_name = "GROUP", conflicts_with_all = ["partitions", "offset"])]
    group: Option<String>,
    /// Ends after so many records.
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Ends at the end of what is there now, or at the first record of each partition written at this time or later.
    #[arg(long, value_name = "end|TIME", value_parser = until)]
    until: Option<Until>,
    /// Only records with this key; * stands for any bytes.
    #[arg(long, value_name = "PATTERN")]
    key: Option<String>,
    /// Only records with this header; may be given again, and all have to be there.
    #[arg(long = "header", value_name = "NAME[=PATTERN]")]
    headers: Vec<String>,
    /// Only records whose value matches; * stands for any bytes.
    #[arg(long, value_name = "PATTERN")]
    value: Option<String>,
    /// How a record is written, such as '%k %v\n': %t topic, %p partition, %o offset, %T timestamp, %D date, %k key, %v value, %K and %V
    /// their lengths, %h headers, %h{name} one of them; %k{hex}, {base64} and {json} encode.
    #[arg(short, long, value_name = "FORMAT", default_value = "%v\\n")]
    format: RecordFormat,
    /// Writes keys, and this between key and value.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with = "format")]
    key_separator: Option<String>,
    /// How a null key or value is written.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// Shows records of transactions that are open or were aborted, too.
    #[arg(long)]
    read_uncommitted: bool,
}

pub(super) async fn run(args: Consume, session: &Session) -> Result<(), Failure> {
    let signal = milena::shutdown_signal();
    let mut signal = std::pin::pin!(signal);
    let places = session.chosen(&args.topic, &args.partitions).await?;
    let source = open(&args, session, &places).await?;
    let ends = match args.until {
        Some(until) => Some(session.ends(&places, until).await?),
        None => None,
    };
    let mut sink = Sink::new(&args, session, ends)?;
    let mut waited = Duration::ZERO;
    while !sink.is_done() {
        let given = tokio::select! {
            biased;
            _ = &mut signal => {
                sink.flush()?;
                source.close().await?;
                // Without an end of its own, being interrupted is the end.
                let endless = args.count.is_none() && args.until.is_none();
                return if endless { Ok(()) } else { Err(Failure::interrupted()) };
            }
            given = source.next(waited) => given?,
        };
        match given {
            Some(given) => {
                sink.take(given, &source)?;
                waited = Duration::ZERO;
            }
            None => {
                // Nothing is there yet: what was read is shown before the wait.
                sink.flush()?;
                sink.look(&source);
                waited = POLL;
            }
        }
    }
    sink.flush()?;
    source.close().await
}

async fn open(
    args: &Consume,
    session: &Session,
    places: &[TopicPartition],
) -> Result<Source, Failure> {
    let level = match args.read_uncommitted {
        true => IsolationLevel::ReadUncommitted,
        false => IsolationLevel::ReadCommitted,
    };
    if let Some(group) = &args.group {
        let reset = match args.from_beginning {
            true => OffsetReset::Earliest,
            false => OffsetReset::Latest,
        };
        let consumer = session
            .client
            .consumer(group.as_str())
            .topics([args.topic.as_str()])
            .auto_offset_reset(reset)
            .isolation_level(level)
            .build()?;
        return Ok(Source::Member(consumer));
    }
    let from = match args.from_beginning {
        true => From::Beginning,
        false => args.offset.unwrap_or(From::End),
    };
    let consumer = session
        .client
        .assigned_consumer()
        .isolation_level(level)
        .build()?;
    consumer.assign(session.starts(places, from).await?);
    Ok(Source::Assigned(consumer))
}

const POLL: Duration = Duration::from_millis(50);
