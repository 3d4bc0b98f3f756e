//! `milena consume`, which writes records to standard output.

mod args;
mod ends;
mod filter;
mod ledger;
mod member;
mod sink;
mod source;

use std::time::Duration;

use milena::{IsolationLevel, OffsetReset, TopicPartition};

pub(crate) use self::args::Consume;
use self::ends::Ends;
use self::member::{Event, Member};
use self::sink::Sink;
use self::source::Source;
use super::places::From;
use crate::failure::Failure;
use crate::output::Pipe;
use crate::session::Session;
use crate::signals::Signals;

/// The reason that reading ended.
enum ReadEnd {
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
        ReadEnd::Interrupted if args.count.is_some() || args.until.is_some() => {
            Err(Failure::interrupted())
        }
        ReadEnd::Done | ReadEnd::Interrupted | ReadEnd::Unread => Ok(()),
    }
}

/// Reads until the end, a signal, or the reader closes the output.
async fn read(sink: &mut Sink, source: &mut Source, signals: &Signals) -> Result<ReadEnd, Failure> {
    let mut unread = std::pin::pin!(Pipe::reader_gone());
    let mut waited = Duration::ZERO;
    loop {
        if sink.has_enough() {
            return Ok(ReadEnd::Done);
        }
        if let Source::Member(member) = &mut *source
            && member.is_due()
        {
            sink.flush().await?;
            member.commit(&sink.ledger);
        }
        tokio::select! {
            biased;
            () = signals.asked() => return Ok(ReadEnd::Interrupted),
            () = &mut unread => return Ok(ReadEnd::Unread),
            event = source.next(waited) => match event? {
                Event::Batch(batch) => {
                    if sink.take(&batch).await? {
                        source.leave(batch.topic_partition());
                    }
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
                        return Ok(ReadEnd::Done);
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
