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
use crate::partition::{Bad, BatchEnd, Closed, Given, Partition};
use crate::settings::CorruptPolicy;
use crate::supervise::contained;

/// The next batch of `partition`, if one is there, checked and decompressed. Never waits: a large compressed one is opened on a
/// thread of its own and given by a later call, before which the partition's and the consumer's readers are woken.
///
/// # Errors
/// What is wrong with the batch, with its place; it is fetched again then, after a wait.
pub(crate) fn open(core: &Arc<Core>, partition: &Arc<Partition>) -> Result<Option<Opened>> {
    loop {
        let (given, beside) = partition.pull(is_heavy);
        let more = beside.is_some();
        if let Some(closed) = beside {
            open_beside(core, partition, closed);
        }
        match given {
            None if more => {}
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

fn open_beside(core: &Arc<Core>, partition: &Arc<Partition>, closed: Closed) {
    let Some(runtime) = core.runtime() else {
        // Only before the consumer was started, when nothing is fetched.
        return;
    };
    let work = {
        let (core, partition) = (Arc::clone(core), Arc::clone(partition));
        move || {
            partition.opened(&closed, opened(|| unpack(&core, &closed)));
            core.ready.notify_waiters();
        }
    };
    let limit = Arc::clone(&core.decompressing);
    let blocking = runtime.clone();
    let guarded = |permit| {
        move || {
            work();
            drop(permit);
        }
    };
    if let Ok(permit) = Arc::clone(&limit).try_acquire_owned() {
        drop(runtime.spawn_blocking(guarded(permit)));
        return;
    }
    drop(runtime.spawn(async move {
        // Never closed.
        if let Ok(permit) = limit.acquire_owned().await {
            drop(blocking.spawn_blocking(guarded(permit)));
        }
    }));
}

/// Opens a batch where nobody waits for it: one whose opening panics cannot be read, and its reader must not wait for it for ever.
fn opened<T>(opening: impl FnOnce() -> Result<T, Bad>) -> Result<T, Bad> {
    contained("the opening of a batch", opening).unwrap_or_else(|error| {
        Err(Bad {
            error: Error::new(ErrorKind::Decode, error.message().to_owned()),
            end: BatchEnd::Unknown,
        })
    })
}

/// Checks and decompresses one batch. What it decompressed to counts from then on, in place of what was fetched.
///
/// # Errors
/// What is wrong with it, and where it ends.
fn unpack(core: &Core, closed: &Closed) -> Result<(Records, Arc<Pinned>), Bad> {
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

/// Whether a batch takes long to open.
fn is_heavy(batch: &Batch) -> bool {
    batch.bytes().len() >= HEAVY && batch.header().attributes.codec() != Some(Codec::None)
}

/// How often a batch whose end is not known is fetched again, before that is told.
const TRIES: u32 = 3;
/// Compressed batches from this size on, in bytes, are opened beside the task that reads them: to decompress so much takes longer than
/// to wake another thread, and one reader has then all cores to decompress for it.
const HEAVY: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_whose_opening_panics_cannot_be_read() {
        let bad = opened(|| -> Result<(), Bad> { panic!("no such table") });
        let error = bad.unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert!(error.message().ends_with("panicked: no such table"));
        assert_eq!(opened(|| Ok(7)).unwrap(), 7);
    }
}
