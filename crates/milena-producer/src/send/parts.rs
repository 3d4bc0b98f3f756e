//! Batches that replace others. These are the halves of a batch that is too large, and the rest of
//! a batch of which a broker refused some records.

use std::sync::Arc;

use milena_core::{Error, ErrorKind, Event};
use milena_core::{Persistence, Result};
use milena_protocol::batch::SealedBatch;
use tokio::time::Instant;

use crate::delivery::{Fate, Receipt, ReceiptPart};
use crate::rules::Rules;
use crate::send::batch::{Batch, Place};
use crate::send::queue::Settled;
use crate::send::seal::INLINE_COMPRESSION;
use crate::send::task::{Done, Sender};

impl Sender {
    /// Puts two halves in the place of a batch that the broker found too large. The halves keep its
    /// sequence range.
    pub(crate) fn split(
        &mut self,
        id: u32,
        mut batch: Batch,
        error: Error,
        now: Instant,
    ) -> Settled {
        let Some(outlet) = self.queues.get_mut(id as usize) else {
            return Settled::Gone;
        };
        let (wire, plain) = (batch.wire_len(), batch.plain_len());
        let (attempts, records, half) = (batch.attempts, batch.count, batch.count / 2);
        if batch.receipt.is_settled() {
            return outlet.queue.give_up(batch, error);
        }
        let Some(sealed) = batch.sealed.take().filter(|_| half > 0) else {
            let what = format!(
                "the broker does not accept a batch of {wire} bytes; raise max.message.bytes of the topic or send smaller records"
            );
            let error = Error::new(ErrorKind::RecordTooLarge, what).with_source(error);
            return outlet.queue.give_up(batch, error);
        };
        let partition = outlet.queue.partition.clone();
        if partition.limit.refused(plain, now) {
            let limit = partition.limit.get();
            tracing::info!(
                topic = %partition.place.topic, refused = wire, limit,
                "a broker refused a batch as too large (max.message.bytes); the topic's batches are smaller until larger ones are tried again"
            );
        }
        let (front, back) = (batch.receipt.part(), batch.receipt.part());
        let part = |first, receipt: &Arc<Receipt>| ReceiptPart {
            first,
            receipt: receipt.clone(),
            now: 0,
        };
        let parts = [part(0, &front), part(half, &back)];
        batch.receipt.settle(Fate::Split(parts.into()));
        outlet.queue.parted();
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
            outlet.queue.push(Batch {
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
        let compression = partition.flow.compression;
        self.rebuild(id, places, plain, move || {
            match sealed.split(half, compression) {
                Ok(Some((front, back))) => vec![Ok(front), Ok(back)],
                Ok(None) => Vec::new(),
                Err(error) => vec![Err(error.clone()), Err(error)],
            }
        });
        Settled::Retried {
            attempts,
            records,
            error,
        }
    }

    /// Returns true if the rest of a batch may be sent again without the records that a broker
    /// refused (KIP-467). This requires that nothing of the batch was written, and that it has an
    /// attempt left.
    pub(crate) fn may_send_rest(
        &self,
        batch: &Batch,
        refused: &[(u32, Error)],
        rules: &Rules,
    ) -> bool {
        let known = refused.iter().any(|(index, _)| *index < batch.count);
        let rest = refused.len() < batch.count as usize;
        let certain = batch.persistence() == Persistence::NotWritten && !batch.suspect;
        let again = batch.attempts <= rules.retries && batch.trims < MOST_TRIMS;
        known && rest && certain && again && !batch.receipt.is_settled()
    }

    /// Fails the records that a broker refused, each with its own error, and sends the other
    /// records of their batch again.
    pub(crate) fn send_rest(
        &mut self,
        id: u32,
        mut batch: Batch,
        error: Error,
        mut refused: Vec<(u32, Error)>,
    ) {
        let Some(outlet) = self.queues.get_mut(id as usize) else {
            return;
        };
        let Some(sealed) = batch.sealed.take() else {
            return;
        };
        let partition = outlet.queue.partition.clone();
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
        outlet.queue.push(Batch {
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
        self.tell_failed(&partition.place, records, &error);
        self.settings.observers.emit(|| Event::BatchRetried {
            partition: &partition.place,
            records: left,
            attempts,
            error: &error,
        });
        let compression = partition.flow.compression;
        self.rebuild(id, vec![place], plain, move || {
            let kept = sealed.retain(|index| out.binary_search(&index).is_err(), compression);
            kept.transpose().into_iter().collect()
        });
    }

    /// Rebuilds batches and puts them into the waiting ones at `places`. Large ones are rebuilt on
    /// another thread.
    fn rebuild(
        &mut self,
        id: u32,
        places: Vec<Place>,
        size: usize,
        job: impl FnOnce() -> Vec<Result<SealedBatch>> + Send + 'static,
    ) {
        if size <= INLINE_COMPRESSION {
            let built = job();
            return self.rebuilt(id, places, built);
        }
        self.compressors.run(job, move |built| Done::Rebuilt {
            queue: id,
            places,
            // If the job was cut off, nothing was built.
            built: built.unwrap_or_default(),
        });
    }

    /// Handles batches that were rebuilt.
    pub(crate) fn rebuilt(&mut self, id: u32, places: Vec<Place>, built: Vec<Result<SealedBatch>>) {
        let ended = || {
            let what = "the task that rebuilt the batch was cut off";
            Err(Error::new(ErrorKind::Closed, what))
        };
        let built = built.into_iter().chain(std::iter::repeat_with(ended));
        for (place, result) in places.into_iter().zip(built) {
            self.sealed(id, place, result.map(|sealed| (sealed, None)));
        }
    }
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
