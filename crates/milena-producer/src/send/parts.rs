//! Batches that replace others. These are the halves of a batch that is too large, and the rest of
//! a batch of which a broker refused some records.

use std::sync::Arc;

use milena_core::{Error, ErrorKind, Persistence};
use tokio::time::Instant;

use crate::delivery::{Fate, Receipt, ReceiptPart};
use crate::rules::Rules;
use crate::send::batch::{Batch, Place};
use crate::send::queue::Queue;
use crate::send::queue::step::Settled;
use crate::send::seal::Sealer;

/// Records that failed, as their number and their error.
pub(super) type Failed = (u32, Error);

/// Puts two halves in the place of a batch that the broker found too large. The halves keep its
/// sequence range. Returns the state of the batch, and the records that fail because their half
/// cannot be sealed.
pub(super) fn split(
    queue: &mut Queue,
    mut batch: Batch,
    error: Error,
    now: Instant,
    sealer: &Sealer,
) -> (Settled, Vec<Failed>) {
    let (wire, plain) = (batch.wire_len(), batch.plain_len());
    let (attempts, records, half) = (batch.attempts, batch.count, batch.count / 2);
    if batch.receipt.is_settled() {
        return (queue.give_up(batch, error), Vec::new());
    }
    let Some(sealed) = batch.sealed.take().filter(|_| half > 0) else {
        let what = format!(
            "the broker does not accept a batch of {wire} bytes; raise max.message.bytes of the topic or send smaller records"
        );
        let error = Error::new(ErrorKind::RecordTooLarge, what).with_source(error);
        return (queue.give_up(batch, error), Vec::new());
    };
    let partition = queue.partition.clone();
    if partition.limit.refused(plain, now) {
        let limit = partition.limit.get();
        tracing::info!(
            topic = %partition.place.topic, refused = wire, limit,
            "a broker refused a batch as too large (max.message.bytes); the topic's batches are smaller until larger ones are tried again"
        );
    }
    let places = halve(queue, batch, half);
    let compression = partition.flow.compression;
    let failed = sealer.rebuild(queue, places, plain, move || {
        match sealed.split(half, compression) {
            Ok(Some((front, back))) => vec![Ok(front), Ok(back)],
            Ok(None) => Vec::new(),
            Err(error) => vec![Err(error.clone()), Err(error)],
        }
    });
    let settled = Settled::Retried {
        attempts,
        records,
        error,
    };
    (settled, failed)
}

/// Splits a batch after `half` records. Returns the places of the two parts, which wait in the
/// queue without their bytes.
fn halve(queue: &mut Queue, mut batch: Batch, half: u32) -> Vec<Place> {
    let records = batch.count;
    let (front, back) = (batch.receipt.part(), batch.receipt.part());
    let part = |first, receipt: &Arc<Receipt>| ReceiptPart {
        first,
        receipt: receipt.clone(),
        now: 0,
    };
    let parts = [part(0, &front), part(half, &back)];
    batch.receipt.settle(Fate::Split(parts.into()));
    queue.parted();
    let mut places = Vec::new();
    for (receipt, at, count) in [(front, 0, half), (back, half, records - half)] {
        let stamp = batch.stamp.map(|mut stamp| {
            stamp.sequence = stamp.sequence.advance(at);
            stamp
        });
        let place = Place {
            first: batch.place.first + at,
            ..batch.place
        };
        places.push(place);
        let bytes = batch.charge.bytes();
        queue.push(Batch {
            place,
            sealed: None,
            count,
            receipt,
            charge: batch.charge.split(if at == 0 { bytes / 2 } else { bytes }),
            stamp,
            suspect: batch.doubt,
            ..batch.like()
        });
    }
    places
}

/// Returns true if the rest of a batch may be sent again without the records that a broker refused
/// (KIP-467). This requires that nothing of the batch was written, and that it has an attempt left.
pub(super) fn may_send_rest(batch: &Batch, refused: &[(u32, Error)], rules: &Rules) -> bool {
    let known = refused.iter().any(|(index, _)| *index < batch.count);
    let rest = refused.len() < batch.count as usize;
    let certain = batch.persistence() == Persistence::NotWritten && !batch.suspect;
    let again = batch.attempts <= rules.retries && batch.trims < MOST_TRIMS;
    known && rest && certain && again && !batch.receipt.is_settled()
}

/// The rest of a batch of which a broker refused some records.
pub(super) struct Rest {
    /// The records that the broker refused.
    pub(super) refused: Failed,
    /// The records that are sent again.
    pub(super) records: u32,
    /// The number of times that the batch was sent.
    pub(super) attempts: u32,
    /// The records that fail because the rest cannot be sealed.
    pub(super) failed: Vec<Failed>,
}

/// Fails the records that a broker refused, each with its own error, and sends the other records of
/// their batch again. `None` if the batch has no bytes.
pub(super) fn send_rest(
    queue: &mut Queue,
    mut batch: Batch,
    error: Error,
    mut refused: Vec<(u32, Error)>,
    sealer: &Sealer,
) -> Option<Rest> {
    let sealed = batch.sealed.take()?;
    let partition = queue.partition.clone();
    let (plain, count) = (sealed.uncompressed_len(), batch.count);
    refused.retain(|(index, _)| *index < count);
    refused.sort_by_key(|(index, _)| *index);
    refused.dedup_by_key(|(index, _)| *index);
    for (_, error) in &mut refused {
        *error = batch.failure(error.clone(), &partition.place);
    }
    let out: Vec<_> = refused.iter().map(|(index, _)| *index).collect();
    let records = u32::try_from(out.len()).unwrap_or(u32::MAX);
    let (gone, rest) = (batch.receipt.part(), batch.receipt.part());
    let parts = parts_without(&out, count, &gone, &rest);
    batch.receipt.settle(Fate::Split(parts.into()));
    let error = batch.failure(error, &partition.place);
    gone.settle(Fate::Refused {
        rest: error.clone(),
        each: refused.into(),
    });
    let (place, attempts) = (batch.place, batch.attempts);
    let left = count - records;
    queue.push(Batch {
        place,
        sealed: None,
        count: left,
        receipt: rest,
        charge: batch.charge.split(usize::MAX),
        // Its sequence range is given up, since the range would be longer than the rest.
        stamp: None,
        suspect: false,
        trims: batch.trims + 1,
        ..batch.like()
    });
    let compression = partition.flow.compression;
    let failed = sealer.rebuild(queue, vec![place], plain, move || {
        let kept = sealed.retain(|index| out.binary_search(&index).is_err(), compression);
        kept.transpose().into_iter().collect()
    });
    Some(Rest {
        refused: (records, error),
        records: left,
        attempts,
        failed,
    })
}

/// The number of times that records may be taken out of a batch before it is given up. Brokers name
/// all the records that they refuse at once, so one time is usual.
const MOST_TRIMS: u8 = 8;

/// Lists the parts of a batch of `count` records, after those at the indices `out` were taken out.
/// `out` ascends. The other records lie next to each other in `rest`.
fn parts_without(
    out: &[u32],
    count: u32,
    gone: &Arc<Receipt>,
    rest: &Arc<Receipt>,
) -> Vec<ReceiptPart> {
    let mut parts: Vec<ReceiptPart> = Vec::new();
    let (mut at, mut kept) = (0, 0);
    let part = |first, receipt: &Arc<Receipt>, now| ReceiptPart {
        first,
        receipt: receipt.clone(),
        now,
    };
    for index in out {
        if at < *index {
            parts.push(part(at, rest, kept));
            kept += index - at;
        }
        parts.push(part(*index, gone, *index));
        at = index + 1;
    }
    if at < count {
        parts.push(part(at, rest, kept));
    }
    parts
}
