//! `milena consume`: records to standard output.

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

/// What is read, and how it is written.
#[derive(Debug, Args)]
pub(crate) struct Consume {
    topic: String,
    /// Begins at the first record there is; without this and --offset, at what comes from now on.
    #[arg(long, conflicts_with = "offset")]
    from_beginning: bool,
    /// Begins at: beginning, end, an offset, -N for the last N offsets of each partition, @TIME. Offsets of records that were removed
    /// and of transactions' ends count too, so that -N may show fewer than N records.
    #[arg(long, value_name = "WHERE", value_parser = from, allow_hyphen_values = true)]
    offset: Option<From>,
    /// Only this partition; may be given again.
    #[arg(short, long = "partition", value_name = "N")]
    partitions: Vec<u32>,
    /// Reads as a member of this group, which goes on where it was and commits what was shown: about each second, when partitions go
    /// to other members, and at the end.
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
    /// Only records with this header, whose last value matches where one is given; may be given again, and all have to be there.
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

/// Why reading ended.
enum Ended {
    /// All is read that was asked for.
    Done,
    Interrupted,
    /// The reader of the output went away, having enough.
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
    // What was formatted before something else failed is shown too.
    let flushed = sink.flush().await;
    if ended.is_ok() {
        ended = flushed.and(ended);
    }
    // However it ended: the group is left, so that others get its partitions at once.
    let limit = match signals.have_come() {
        true => session.global.timeout.min(COMMIT_AFTER_SIGNAL),
        false => session.global.timeout,
    };
    let closed = source.close(&sink.ledger, limit).await;
    let ended = ended?;
    closed?;
    match ended {
        // Without an end of its own, being interrupted is the end.
        Ended::Interrupted if args.count.is_some() || args.until.is_some() => {
            Err(Failure::interrupted())
        }
        Ended::Done | Ended::Interrupted | Ended::Unread => Ok(()),
    }
}

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
                    // Nothing is there yet: what was read is shown before the wait.
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

const POLL: Duration = Duration::from_millis(50);
/// How long the last commit may take once a signal has come: whoever sent it does not wait for long.
const COMMIT_AFTER_SIGNAL: Duration = Duration::from_secs(5);
