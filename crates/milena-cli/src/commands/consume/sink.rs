//! The sink of records. It filters them and writes them to standard output, up to the end that was
//! asked for.

use std::io::{self, IsTerminal};

use milena::consumer::FetchBatch;
use milena::{Offset, TopicPartition};

use super::args::Consume;
use super::ends::Ends;
use super::filter::Filter;
use super::ledger::Ledger;
use crate::failure::Failure;
use crate::format::{RecordFormat, Shown, guard_json, json_line};
use crate::output::{Format, Pipe};
use crate::progress::Progress;
use crate::session::Session;
use crate::signals::Signals;

/// The filter, the format, the output and their progress.
pub(super) struct Sink {
    /// The format to write by, unless `json`.
    format: RecordFormat,
    /// True if records are written as lines of JSON.
    json: bool,
    /// True if standard output is a terminal, where control characters are escaped.
    on_terminal: bool,
    /// The filter of shown records.
    filter: Filter,
    /// Standard output.
    pipe: Pipe,
    /// True once the output cannot be written any more. Nothing counts as shown from then on.
    broken: bool,
    /// The number of records shown.
    shown: u64,
    /// The number of records to show. `None` for no limit.
    wanted: Option<u64>,
    /// The ends of the partitions. `None` to read on forever.
    pub(super) ends: Option<Ends>,
    /// The progress of output in each partition.
    pub(super) ledger: Ledger,
    /// The progress line on stderr.
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
            // A program gets the bytes unchanged. On a terminal control characters are escaped,
            // because it would act on them.
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

    /// Returns true if as many records were shown as were asked for.
    pub(super) fn has_enough(&self) -> bool {
        self.wanted.is_some_and(|wanted| self.shown >= wanted)
    }

    /// Shows the records of a batch, up to the end of its partition. Returns true if that end is
    /// reached now, and the partition need not be read any further.
    pub(super) async fn take(&mut self, batch: &FetchBatch) -> Result<bool, Failure> {
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
            // All records before the end were shown, even if the last offsets before it hold none.
            false if !self.has_enough() && self.is_left(place) => self.shown_to(place, end, true),
            false => self.shown_to(place, next, true),
        }
        self.progress.at(self.shown);
        let next = batch.next_offset();
        Ok(self
            .ends
            .as_mut()
            .is_some_and(|ends| ends.reach(place, next)))
    }

    /// Returns true if the partition is not read to its end yet.
    fn is_left(&self, place: &TopicPartition) -> bool {
        self.ends.as_ref().is_some_and(|ends| ends.is_left(place))
    }

    /// Notes the progress of a partition. `cut` means that no more of it is shown.
    fn shown_to(&mut self, place: &TopicPartition, next: Option<Offset>, cut: bool) {
        if let Some(next) = next {
            self.ledger.take(place, next);
        }
        if cut {
            self.ledger.cut(place);
        }
    }

    /// Formats one record, if the filter accepts it.
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

    /// Writes all formatted bytes.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        if self.broken {
            return Ok(());
        }
        // Stays true if the write fails or its future is dropped. Nothing of it counts as shown
        // then.
        self.broken = true;
        self.pipe.flush().await?;
        self.broken = false;
        self.ledger.flushed();
        Ok(())
    }
}
