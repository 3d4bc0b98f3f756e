//! Where records go that were read: through the filter to standard output, up to the end that was asked for.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use milena::{Offset, TopicPartition};

use super::super::source::{Given, Source};
use super::Consume;
use super::filter::Filter;
use crate::failure::Failure;
use crate::format::{RecordFormat, Shown, json_line};
use crate::output::Format;
use crate::progress::Progress;
use crate::session::Session;

/// Where records go.
pub(super) struct Sink {
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
    pub(super) fn new(
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

    pub(super) fn is_done(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.shown >= wanted)
            || self.ends.as_ref().is_some_and(BTreeMap::is_empty)
    }

    pub(super) fn take(&mut self, given: Given, source: &Source) -> Result<(), Failure> {
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
    pub(super) fn look(&mut self, source: &Source) {
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

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        if !self.out.is_empty() {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&self.out)?;
            stdout.flush()?;
            self.out.clear();
        }
        Ok(())
    }
}

const FLUSH_AT: usize = 256 << 10;
