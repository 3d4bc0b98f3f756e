//! Where records go that were read: through the filter to standard output, up to the end that was asked for.

use std::io::{self, IsTerminal};

use milena::consumer::FetchBatch;
use milena::{Offset, TopicPartition};

use super::Consume;
use super::ends::Ends;
use super::filter::Filter;
use super::ledger::Ledger;
use super::source::Source;
use crate::failure::Failure;
use crate::format::{RecordFormat, Shown, guard_json, json_line};
use crate::output::{Format, Pipe};
use crate::progress::Progress;
use crate::session::Session;
use crate::signals::Signals;

/// Where records go.
pub(super) struct Sink {
    format: RecordFormat,
    json: bool,
    on_terminal: bool,
    filter: Filter,
    pipe: Pipe,
    /// Whether the output takes nothing any more.
    broken: bool,
    shown: u64,
    wanted: Option<u64>,
    pub(super) ends: Option<Ends>,
    pub(super) ledger: Ledger,
    progress: Progress,
}

impl Sink {
    pub(super) fn new(
        args: &Consume,
        session: &Session,
        signals: Signals,
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
            // A program gets the bytes as they are; a terminal would act on them.
            format: format.null(args.null.as_deref()).guarded(on_terminal),
            on_terminal,
            json,
            filter: Filter::new(args),
            pipe: Pipe::new(signals),
            broken: false,
            shown: 0,
            wanted: args.count,
            ends: None,
            ledger: Ledger::default(),
            progress: Progress::new("read", args.count, on_terminal),
        })
    }

    /// Whether as many records were shown as were asked for.
    pub(super) fn has_enough(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.shown >= wanted)
    }

    /// Shows the records of a batch, up to the end of its partition.
    pub(super) async fn take(
        &mut self,
        batch: &FetchBatch,
        source: &Source,
    ) -> Result<(), Failure> {
        let place = batch.topic_partition();
        let end = self.ends.as_ref().map(|ends| ends.of(place));
        let mut next = None;
        let mut failed = None;
        let mut whole = true;
        for record in batch.iter() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    failed = Some(Failure::from(error));
                    break;
                }
            };
            if end.is_some_and(|end| record.offset >= end) || self.has_enough() {
                whole = false;
                break;
            }
            self.one(&Shown::of(place, &record));
            let after = record.offset.next();
            next = Some(after);
            if self.pipe.is_full() {
                self.ledger.take(place, after);
                self.flush().await?;
            }
        }
        if let Some(failure) = failed {
            self.shown_to(place, next, true);
            return Err(failure);
        }
        match whole {
            true => self.shown_to(place, Some(batch.next_offset()), false),
            // All that lies before the end was shown, also where nothing lies there.
            false if !self.has_enough() && self.is_left(place) => self.shown_to(place, end, true),
            false => self.shown_to(place, next, true),
        }
        if let Some(ends) = &mut self.ends
            && ends.reach(place, batch.next_offset())
        {
            source.leave(place);
        }
        self.progress.at(self.shown);
        Ok(())
    }

    fn is_left(&self, place: &TopicPartition) -> bool {
        self.ends.as_ref().is_some_and(|ends| ends.is_left(place))
    }

    fn shown_to(&mut self, place: &TopicPartition, next: Option<Offset>, cut: bool) {
        if let Some(next) = next {
            self.ledger.take(place, next);
        }
        if cut {
            self.ledger.cut(place);
        }
    }

    fn one(&mut self, record: &Shown<'_>) {
        if !self.filter.lets_through(record) {
            return;
        }
        match self.json {
            true => {
                let from = self.pipe.out.len();
                json_line(record, &mut self.pipe.out);
                if self.on_terminal {
                    guard_json(&mut self.pipe.out, from);
                }
            }
            false => self.format.write(record, &mut self.pipe.out),
        }
        self.shown += 1;
    }

    /// Writes what is formatted.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.broken {
            return Ok(());
        }
        // Left as it is where the write fails or is given up: nothing of it counts as shown.
        self.broken = true;
        self.pipe.flush().await?;
        self.broken = false;
        self.ledger.flushed();
        Ok(())
    }
}
