//! Opens batches. Checks and decompresses them, and handles batches that cannot be read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_core::{Backoff, CorruptPolicy, Error, ErrorKind, Event, Offset, Result};
use milena_fetch::{BatchEnd, Opened, Openers};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::counts::Counts;
use crate::partition::{Given, Partition, Reading};
use crate::reports::Reports;

/// The opening of the batches of one consumer.
pub(crate) struct Unpacking {
    /// Tasks that open large compressed batches beside their readers.
    openers: Arc<Openers<Partition>>,
    /// The policy for batches that cannot be read.
    on_corrupt: CorruptPolicy,
    /// The backoff before such a batch is fetched again.
    backoff: Backoff,
    /// The number of skipped batches, which each one raises.
    counts: Arc<Counts>,
    /// The reports of skipped batches.
    reports: Reports,
}

impl Unpacking {
    /// Returns the opening of batches by these parts.
    pub(crate) fn new(
        openers: Arc<Openers<Partition>>,
        on_corrupt: CorruptPolicy,
        backoff: Backoff,
        counts: Arc<Counts>,
        reports: Reports,
    ) -> Self {
        Self {
            openers,
            on_corrupt,
            backoff,
            counts,
            reports,
        }
    }

    /// Returns the end of a batch whose header gives `next` as the offset behind it.
    pub(crate) fn end_of(&self, next: Offset) -> BatchEnd {
        self.openers.unpacker().end_of(next)
    }

    /// Returns the next batch of `partition`, if one is there, checked and decompressed.
    ///
    /// `runtime` is the one of the consumer's tasks. Never waits. A later call returns a batch that
    /// an opener is decompressing now. The partition's and the consumer's readers are woken once it
    /// is ready.
    ///
    /// # Errors
    /// The fault of the batch, with its topic, partition and offset. The batch is fetched again
    /// after a wait.
    pub(crate) fn open(
        &self,
        runtime: Option<&Handle>,
        partition: &Arc<Partition>,
    ) -> Result<Option<Opened>> {
        loop {
            let (given, tell) = Reading::of(partition).pull();
            // Before the consumer was started there is no runtime, and nothing is fetched.
            if let Some(runtime) = runtime.filter(|_| tell) {
                self.openers.add(runtime, partition);
            }
            match given {
                None => return Ok(None),
                Some(Given::Open(opened)) => return Ok(Some(opened)),
                Some(Given::Closed(closed, from)) => {
                    let turn = closed.turn;
                    match self.openers.unpacker().unpack(&closed) {
                        Ok((records, pinned)) => {
                            return Ok(Some(Opened {
                                records,
                                from,
                                turn,
                                pinned,
                            }));
                        }
                        Err(bad) => self.unreadable(partition, turn, bad.end, &bad.error)?,
                    }
                }
                Some(Given::Bad(bad, turn)) => {
                    self.unreadable(partition, turn, bad.end, &bad.error)?;
                }
            }
        }
    }

    /// Skips a batch that cannot be read, or returns its error, as the corrupt policy says. `end`
    /// is the end of the batch, as far as it is known.
    ///
    /// # Errors
    /// The error of the batch, if the policy does not skip it.
    pub(crate) fn unreadable(
        &self,
        partition: &Partition,
        turn: u64,
        end: BatchEnd,
        error: &Error,
    ) -> Result<()> {
        let place = partition.place();
        let from = partition.position();
        let offset = error.place().offset.or(from);
        let error = error.clone().at(place);
        let error = match offset {
            Some(offset) => error.offset(offset),
            None => error,
        };
        let skips = self.on_corrupt == CorruptPolicy::Skip && ErrorKind::Decode == error.kind();
        let skipped = Reading::of(partition)
            .believable(end)
            .filter(|next| skips && Reading::of(partition).passed(turn, *next, None));
        let Some(next) = skipped else {
            let waits =
                skips && end != BatchEnd::Unknown && Reading::of(partition).times_spoiled() < TRIES;
            Reading::of(partition).spoiled(turn, Instant::now(), |times| self.backoff.delay(times));
            // Fetched from here on, it comes with the batch behind it, if there is one by then.
            return if waits { Ok(()) } else { Err(error) };
        };
        let from = from.unwrap_or(next);
        tracing::error!(partition = %place, %from, to = %next, %error, "unreadable records are passed over");
        self.counts.corrupt.fetch_add(1, Ordering::Relaxed);
        self.reports.emit(|group| Event::CorruptSkipped {
            group,
            partition: place,
            from: from.to_wire(),
            to: next.to_wire(),
            error: &error,
        });
        Ok(())
    }
}

/// How often a batch whose end is not known is fetched again, before that is told.
const TRIES: u32 = 3;
