//! Opens batches: checksums and decompression, large ones beside their reader, and what becomes of those that cannot be read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_core::{Error, ErrorKind, Event, Offset, Result};
use milena_protocol::batch::{Batch, Records};
use milena_protocol::compression::Codec;
use tokio::time::Instant;

use crate::batch::Opened;
use crate::budget::Pinned;
use crate::core::Core;
use crate::openers::Openers;
use crate::partition::{Bad, BatchEnd, Closed, Given, Partition, Weight};
use crate::settings::CorruptPolicy;

/// Returns the next batch of `partition`, if one is there, checked and decompressed.
///
/// Never waits: a batch that an opener is at is given by a later call, before which the partition's
/// and the consumer's readers are woken.
///
/// # Errors
/// What is wrong with the batch, with its place; it is fetched again then, after a wait.
pub(crate) fn open(core: &Arc<Core>, partition: &Arc<Partition>) -> Result<Option<Opened>> {
    loop {
        let (given, tell) = partition.pull(weight);
        // Before the consumer was started there is no runtime, and nothing is fetched.
        if let Some(runtime) = core.runtime().filter(|_| tell) {
            Openers::add(core, runtime, partition);
        }
        match given {
            None => return Ok(None),
            Some(Given::Open(opened)) => return Ok(Some(opened)),
            Some(Given::Closed(closed, from)) => {
                let turn = closed.turn;
                match unpack(core, &closed) {
                    Ok((records, pinned)) => {
                        return Ok(Some(Opened {
                            records,
                            from,
                            turn,
                            pinned,
                        }));
                    }
                    Err(bad) => unreadable(core, partition, turn, bad.end, &bad.error)?,
                }
            }
            Some(Given::Bad(bad, turn)) => {
                unreadable(core, partition, turn, bad.end, &bad.error)?;
            }
        }
    }
}

/// Where a batch ends whose records cannot be read: as its header says, unless nobody has checked that.
pub(crate) fn end_of(core: &Core, next: Offset) -> BatchEnd {
    match core.settings.check_crcs {
        true => BatchEnd::Told(next),
        false => BatchEnd::Following(None),
    }
}

/// What cannot be read is passed over or told, as the policy says; `end` is where it ends, as far as that is known.
///
/// # Errors
/// The error, when it is to be told.
pub(crate) fn unreadable(
    core: &Core,
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
    let skips =
        core.settings.on_corrupt == CorruptPolicy::Skip && ErrorKind::Decode == error.kind();
    let skipped = partition
        .believable(end)
        .filter(|next| skips && partition.passed(turn, *next, None));
    let Some(next) = skipped else {
        let waits = skips && end != BatchEnd::Unknown && partition.times_spoiled() < TRIES;
        let backoff = core.cluster.backoff();
        partition.spoiled(turn, Instant::now(), |times| backoff.delay(times));
        // Fetched from here on, it comes with the batch behind it, if there is one by then.
        return if waits { Ok(()) } else { Err(error) };
    };
    let from = from.unwrap_or(next);
    tracing::error!(partition = %place, %from, to = %next, %error, "unreadable records are passed over");
    core.counts.corrupt.fetch_add(1, Ordering::Relaxed);
    core.observers().emit(|| Event::CorruptSkipped {
        group: core.settings.group_name(),
        partition: place,
        from: from.to_wire(),
        to: next.to_wire(),
        error: &error,
    });
    Ok(())
}

/// Checks and decompresses one batch. What it decompressed to counts from then on, in place of what was fetched.
///
/// # Errors
/// What is wrong with it, and where it ends.
pub(crate) fn unpack(core: &Core, closed: &Closed) -> Result<(Records, Arc<Pinned>), Bad> {
    let batch = &closed.batch;
    let checks = core.settings.check_crcs;
    if checks {
        batch.verify_crc().map_err(|error| Bad {
            error,
            end: closed.end(false),
        })?;
    }
    let records = batch.records(core.settings.max_batch_size);
    let records = records.map_err(|error| Bad {
        error,
        end: closed.end(checks || batch.verify_crc().is_ok()),
    })?;
    let pinned = match batch.header().attributes.codec() {
        Some(Codec::None) => Arc::clone(&closed.pinned),
        _ => core.budget.pin(records.body().len()),
    };
    Ok((records, pinned))
}

/// How long a batch takes to open.
fn weight(batch: &Batch) -> Weight {
    match batch.bytes().len() {
        _ if batch.header().attributes.codec() == Some(Codec::None) => Weight::Light,
        HUGE.. => Weight::Huge,
        HEAVY.. => Weight::Heavy,
        _ => Weight::Light,
    }
}

/// How often a batch whose end is not known is fetched again, before that is told.
const TRIES: u32 = 3;
/// Compressed batches from this size on, in bytes, may be opened beside the task that reads them: to
/// decompress so much takes longer than to wake another thread.
const HEAVY: usize = 8 << 10;
/// Compressed batches from this size on, in bytes, are never opened by the task that reads them: it
/// would keep its worker of the runtime for more than about a millisecond.
const HUGE: usize = 512 << 10;
