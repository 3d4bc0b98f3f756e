//! Sealing: a batch takes its place in the order, is compressed beside the sender, and then stays as it is.

use milena_core::{Error, ErrorKind, Result};
use milena_protocol::batch::{BatchBuilder, SealedBatch};
use milena_protocol::compression::Compression;

use crate::batch::{Batch, Place};
use crate::partition::{Desk, OpenBatch};
use crate::sender::{Done, Sender};

impl Sender {
    /// Closes a batch: it takes its place in the order now, and is compressed where that was asked for.
    pub(crate) fn close_batch(&mut self, id: u32, open: OpenBatch) {
        let Some(outlet) = self.queues.get_mut(id as usize) else {
            return;
        };
        let compression = outlet.queue.partition.flow.compression;
        let place = outlet.queue.next_place();
        let OpenBatch {
            builder,
            receipt,
            charge,
            opened,
            ..
        } = open;
        let size = builder.body_len();
        outlet.queue.push(Batch {
            place,
            sealed: None,
            count: builder.count(),
            receipt,
            charge,
            opened,
            first_sent: None,
            stamp: None,
            range: 0,
            attempts: 0,
            doubt: false,
            suspect: false,
            trims: 0,
        });
        if compression == Compression::None || size <= INLINE_COMPRESSION {
            let result = pack(builder, compression, &self.desk);
            self.sealed(id, place, result);
        } else {
            self.compress(id, place, builder, compression);
        }
    }

    /// Compresses a batch on another thread, as many at a time as there are cores.
    fn compress(&self, id: u32, place: Place, builder: BatchBuilder, compression: Compression) {
        let (permits, desk) = (self.compressing.clone(), self.desk.clone());
        self.work.push(Box::pin(async move {
            let _permit = permits.acquire_owned().await;
            let result =
                tokio::task::spawn_blocking(move || pack(builder, compression, &desk)).await;
            let result = result.unwrap_or_else(|_| {
                let what = "the task that compressed the batch ended";
                Err(Error::new(ErrorKind::Closed, what))
            });
            Done::Sealed {
                queue: id,
                place,
                result,
            }
        }));
    }

    /// Takes a closed batch's final bytes.
    pub(crate) fn sealed(
        &mut self,
        id: u32,
        place: Place,
        result: Result<(SealedBatch, Option<Vec<u8>>)>,
    ) {
        let Some(outlet) = self.queues.get_mut(id as usize) else {
            return;
        };
        match result {
            Ok((sealed, spare)) => {
                if let Some(batch) = outlet.queue.waiting_mut(place) {
                    if let Some(spare) = spare {
                        let Desk {
                            buffers, budget, ..
                        } = &*self.desk;
                        let held = buffers.size_for(sealed.body().len());
                        batch.charge.shrink(held.max(sealed.wire_len()));
                        buffers.give(spare, budget.used());
                    }
                    batch.sealed = Some(sealed);
                }
            }
            Err(error) => {
                if let Some((records, error)) = outlet.queue.remove(place, error) {
                    let partition = outlet.queue.partition.place.clone();
                    self.tell_failed(&partition, records, &error);
                }
            }
        }
        self.list(id);
    }
}

/// Closes a batch; a compressed body goes into a buffer of its own from the pool, which is charged once the other is given back.
fn pack(
    builder: BatchBuilder,
    compression: Compression,
    desk: &Desk,
) -> Result<(SealedBatch, Option<Vec<u8>>)> {
    builder.seal_into(compression, |len| {
        let size = desk.buffers.size_for(len);
        desk.buffers.take(size, desk.budget.used() + size)
    })
}

/// Batches up to this size are compressed on the sender's task; larger ones beside it.
pub(crate) const INLINE_COMPRESSION: usize = 16 * 1024;
