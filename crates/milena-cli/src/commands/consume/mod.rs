//! `milena consume`, which writes records to standard output.

mod ends;
mod filter;
mod ledger;
mod member;
mod sink;
mod source;

use std::time::Duration;

use clap::Args;
use milena::{IsolationLevel, OffsetReset, TopicPartition};

use self::ends::Ends;
use self::member::{Event, Member};
use self::sink::Sink;
use self::source::Source;
use super::places::{From, Until, from, until};
use crate::failure::Failure;
use crate::format::RecordFormat;
use crate::output::Pipe;
use crate::session::Session;
use crate::signals::Signals;

/// The records to read, and the form to write them in.
#[derive(Debug, Args)]
pub(crate) struct Consume {
    /// The topic to read.
    topic: String,
    /// Begins at the first record. Without this and --offset, only new records are read.
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Begins at beginning, end, an offset, -N for the last N offsets of each partition, or @TIME.
    /// Offsets of removed records and of transaction markers count too, so that -N may show fewer
    /// than N records.
    #[arg(long, value_name = "WHERE", value_parser = from, allow_hyphen_values = true)]
    offset: Option<From>,
    /// Reads only this partition. May be given several times.
    #[arg(short, long = "partition", value_name = "N")]
    partitions: Vec<u32>,
    /// Reads as a member of this group, and goes on where the group was. Commits the shown records
    /// about once a second, when partitions go to other members, and at the end.
    #[arg(short, long, value_name = "GROUP", conflicts_with_all = ["partitions", "offset"])]
    group: Option<String>,
    /// Ends after this many records.
    #[arg(short, long, value_name = "N")]
    count: Option<u64>,
    /// Ends at the present end of the topic, or at the first record of each partition written at
    /// this time or later.
    #[arg(long, value_name = "end|TIME", value_parser = until)]
    until: Option<Until>,
    /// Shows only records with this key. * stands for any bytes.
    #[arg(long, value_name = "PATTERN")]
    key: Option<String>,
    /// Shows only records with this header. If a pattern is given, its last value must match. May
    /// be given several times, and then all must hold.
    #[arg(long = "header", value_name = "NAME[=PATTERN]")]
    headers: Vec<String>,
    /// Shows only records with this value. * stands for any bytes.
    #[arg(long, value_name = "PATTERN")]
    value: Option<String>,
    /// The format of a record, such as '%k %v\n'. %t is the topic, %p partition, %o offset, %T
    /// timestamp, %D date, %k key, %v value, %K and %V their lengths, %h headers, %h{name} one
    /// header. %k{hex}, {base64} and {json} encode.
    #[arg(short, long, value_name = "FORMAT", default_value = "%v\\n")]
    format: RecordFormat,
    /// Writes keys, with this text between key and value.
    #[arg(short = 'K', long, value_name = "TEXT", conflicts_with = "format")]
    key_separator: Option<String>,
    /// The text for a null key or value.
    #[arg(long, value_name = "TEXT")]
    null: Option<String>,
    /// Also shows records of transactions that are open or were aborted.
    #[arg(long)]
    read_uncommitted: bool,
}

/// The reason that reading ended.
enum Ended {
    /// Everything that was asked for is read.
    Done,
    Interrupted,
    /// The reader closed the output.
    Unread,
}

pub(super) async fn run(args: Consume, session: &Session) -> Result<(), Failure> {
    let signals = Signals::watch();
    let mut sink = Sink::new(&args, session, signals.clone())?;
    let places = session.chosen(&args.topic, &args.partitions).await?;
    let level = match args.read_uncommitted {
        true => IsolationLevel::ReadUncommitted,
        false => IsolationLevel::ReadCommitted,
    };
    if let Some(until) = args.until {
        sink.ends = Some(Ends::new(session.ranges(&places, until, level).await?));
    }
    let mut source = open(&args, session, &places, level).await?;
    let mut ended = read(&mut sink, &mut source, &signals).await;
    // Records that were formatted before a failure are shown too.
    let flushed = sink.flush().await;
    if ended.is_ok() {
        ended = flushed.and(ended);
    }
    // The group is left in any case, so that other members get its partitions at once.
    let limit = match signals.have_come() {
        true => session.global.timeout.min(COMMIT_AFTER_SIGNAL),
        false => session.global.timeout,
    };
    let closed = source.close(&sink.ledger, limit).await;
    let ended = ended?;
    closed?;
    match ended {
        // A read without an end is meant to be interrupted, which is not a failure.
        Ended::Interrupted if args.count.is_some() || args.until.is_some() => {
            Err(Failure::interrupted())
        }
        Ended::Done | Ended::Interrupted | Ended::Unread => Ok(()),
    }
}

/// Reads until the end, a signal, or the reader closes the output.
async fn read(sink: &mut Sink, source: &mut Source, signals: &Signals) -> Result<Ended, Failure> {
    let mut unread = std::pin::pin!(Pipe::reader_gone());
    let mut waited = Duration::ZERO;
    loop {
        if sink.has_enough() {
            return Ok(Ended::Done);
        }
        if let Source::Member(member) = &mut *source
            && member.is_due()
        {
            sink.flush().await?;
            member.commit(&sink.ledger);
        }
        tokio::select! {
            biased;
            () = signals.asked() => return Ok(Ended::Interrupted),
            () = &mut unread => return Ok(Ended::Unread),
            event = source.next(waited) => match event? {
                Event::Batch(batch) => {
                    sink.take(&batch, source).await?;
                    waited = Duration::ZERO;
                }
                Event::News(news) => {
                    sink.flush().await?;
                    if let Source::Member(member) = &mut *source {
                        member.attend(news, sink).await;
                    }
                }
                Event::Idle => {
                    // No record is there yet. Show the records so far before the wait.
                    sink.flush().await?;
                    if let Some(ends) = &mut sink.ends
                        && source.look(ends).await?
                    {
                        return Ok(Ended::Done);
                    }
                    waited = POLL;
                }
            }
        }
    }
}

/// Makes the consumer and sets its start.
async fn open(
    args: &Consume,
    session: &Session,
    places: &[TopicPartition],
    level: IsolationLevel,
) -> Result<Source, Failure> {
    if let Some(group) = &args.group {
        let reset = match args.from_beginning {
            true => OffsetReset::Earliest,
            false => OffsetReset::Latest,
        };
        let member = Member::new(|listener| {
            let builder = session.client.consumer(group.as_str());
            let builder = builder.topics([args.topic.as_str()]);
            let builder = builder.auto_offset_reset(reset).isolation_level(level);
            builder.rebalance_listener(listener).build()
        })?;
        return Ok(Source::Member(Box::new(member)));
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
    consumer.assign(session.starts(places, from, level).await?);
    Ok(Source::Assigned(Box::new(consumer)))
}

/// The time between two looks at the ends.
const POLL: Duration = Duration::from_millis(50);
/// The time that the last commit may take after a signal, because the sender of the signal does not
/// wait for long.
const COMMIT_AFTER_SIGNAL: Duration = Duration::from_secs(5);
