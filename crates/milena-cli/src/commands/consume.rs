//! `milena consume`: records to standard output.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use clap::Args;
use milena::{IsolationLevel, Offset, OffsetReset, TopicPartition};

use super::source::{From, Given, Source, Until, from, until};
use crate::failure::Failure;
use crate::format::{RecordFormat, Shown, json_line};
use crate::output::Format;
use crate::progress::Progress;
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

/// Where records go.
struct Sink {
    format: RecordFormat,
    json: bool,
    filter: Filter,
    out: Vec<u8>,
    shown: u64,
    wanted: Option<u64>,
    /// The partitions that are still to be read, and up to where.
    ends: Option<BTreeMap<TopicPartition, Offset>>,
    progress: Progress,
}

impl Sink {
    fn new(
        args: &Consume,
        session: &Session,
        ends: Option<BTreeMap<TopicPartition, Offset>>,
    ) -> Result<Self, Failure> {
        let json = match session.global.output {
            Some(Format::Json) => true,
            Some(Format::Yaml) => {
                return Err(Failure::usage(
                    "records are written by a format or as JSON, not as YAML",
                ));
            }
            _ => false,
        };
        let format = match &args.key_separator {
            Some(separator) => RecordFormat::key_value(separator).map_err(Failure::usage)?,
            None => args.format.clone(),
        };
        let on_terminal = io::stdout().is_terminal();
        Ok(Self {
            format: format.null(args.null.as_deref()),
            json,
            filter: Filter::new(args),
            out: Vec::with_capacity(2 * FLUSH_AT),
            shown: 0,
            wanted: args.count,
            ends,
            progress: Progress::new("read", args.count, on_terminal),
        })
    }

    fn is_done(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.shown >= wanted)
            || self.ends.as_ref().is_some_and(BTreeMap::is_empty)
    }

    fn take(&mut self, given: Given, source: &Source) -> Result<(), Failure> {
        match given {
            Given::Batch(batch) => {
                let place = batch.topic_partition();
                let end = self.end_of(place);
                for record in batch.iter() {
                    let record = record?;
                    if end.is_some_and(|end| record.offset >= end) || self.is_done() {
                        break;
                    }
                    self.one(&Shown::of(place, &record))?;
                }
                self.passed(place, batch.next_offset(), source);
            }
            Given::Record(record) => {
                let place = record.topic_partition();
                if self.end_of(&place).is_none_or(|end| record.offset < end) {
                    self.one(&Shown::owned(&place, &record))?;
                }
                self.passed(&place, record.offset.next(), source);
            }
        }
        self.progress.at(self.shown);
        Ok(())
    }

    /// Where to stop in a partition; at once, where it has been read to its end.
    fn end_of(&self, place: &TopicPartition) -> Option<Offset> {
        let ends = self.ends.as_ref()?;
        Some(ends.get(place).copied().unwrap_or(Offset::ZERO))
    }

    fn passed(&mut self, place: &TopicPartition, next: Offset, source: &Source) {
        let Some(ends) = &mut self.ends else { return };
        if ends.get(place).is_some_and(|end| next >= *end) {
            ends.remove(place);
            source.leave(place);
        }
    }

    /// Leaves partitions that have nothing more before their end: what is left there are markers of transactions, or nothing was there.
    fn look(&mut self, source: &Source) {
        let Some(ends) = &mut self.ends else { return };
        ends.retain(|place, end| {
            *end > Offset::ZERO
                && source
                    .position(place)
                    .is_none_or(|position| position < *end)
        });
    }

    fn one(&mut self, record: &Shown<'_>) -> Result<(), Failure> {
        if !self.filter.lets_through(record) {
            return Ok(());
        }
        match self.json {
            true => json_line(record, &mut self.out),
            false => self.format.write(record, &mut self.out),
        }
        self.shown += 1;
        if self.out.len() >= FLUSH_AT {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        if !self.out.is_empty() {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&self.out)?;
            stdout.flush()?;
            self.out.clear();
        }
        Ok(())
    }
}

/// Which records are shown.
struct Filter {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Filter {
    fn new(args: &Consume) -> Self {
        let bytes = |text: &String| text.clone().into_bytes();
        let header = |text: &String| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.as_bytes().to_vec())),
            None => (text.clone(), None),
        };
        Self {
            key: args.key.as_ref().map(bytes),
            value: args.value.as_ref().map(bytes),
            headers: args.headers.iter().map(header).collect(),
        }
    }

    fn lets_through(&self, record: &Shown<'_>) -> bool {
        let holds = |pattern: &Option<Vec<u8>>, bytes: Option<&[u8]>| match (pattern, bytes) {
            (None, _) => true,
            (Some(pattern), Some(bytes)) => matches(pattern, bytes),
            (Some(_), None) => false,
        };
        let header = |(name, pattern): &(String, Option<Vec<u8>>)| {
            let same = record
                .headers
                .iter()
                .filter(|header| header.key == name.as_bytes());
            same.into_iter().any(|header| holds(pattern, header.value))
        };
        holds(&self.key, record.key)
            && holds(&self.value, record.value)
            && self.headers.iter().all(header)
    }
}

/// Whether `bytes` are as `pattern` says, whose `*` stand for any bytes.
fn matches(pattern: &[u8], bytes: &[u8]) -> bool {
    let mut parts = pattern.split(|byte| *byte == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = bytes.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&[u8]> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

const FLUSH_AT: usize = 256 << 10;
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_bytes() {
        for (pattern, bytes) in [
            ("a*", "abc"),
            ("*c", "abc"),
            ("a*c", "abc"),
            ("*b*", "abc"),
            ("*", ""),
            ("abc", "abc"),
            ("a**c", "ac"),
        ] {
            assert!(
                matches(pattern.as_bytes(), bytes.as_bytes()),
                "{pattern} {bytes}"
            );
        }
        for (pattern, bytes) in [
            ("a", "abc"),
            ("b*", "abc"),
            ("*b", "abc"),
            ("ab*bc", "abc"),
            ("", "a"),
        ] {
            assert!(
                !matches(pattern.as_bytes(), bytes.as_bytes()),
                "{pattern} {bytes}"
            );
        }
    }
}
