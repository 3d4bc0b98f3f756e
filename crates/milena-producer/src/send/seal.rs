//! Sealing. A batch takes its place in the partition's order, is compressed, and does not change
//! any more.

use milena_core::{Compression, Error, ErrorKind, Result};
use milena_protocol::batch::{BatchBuilder, SealedBatch};

use crate::enqueue::partition::OpenBatch;
use crate::enqueue::shared::Shared;
use crate::send::batch::{Batch, Place};
use crate::send::task::{Done, Sender};

impl Sender {
    /// Closes a batch. It takes its place in the order now, and is compressed if the topic's
    /// settings ask for that.
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
            let result = pack(builder, compression, &self.shared);
            self.sealed(id, place, result);
        } else {
            self.compress(id, place, builder, compression);
        }
    }

    /// Compresses a batch on another thread.
    fn compress(&self, id: u32, place: Place, builder: BatchBuilder, compression: Compression) {
        let shared = self.shared.clone();
        self.compressors.run(
            move || pack(builder, compression, &shared),
            move |result| Done::Sealed {
                queue: id,
                place,
                result: result.unwrap_or_else(|| {
                    let what = "the task that compressed the batch was cut off";
                    Err(Error::new(ErrorKind::Closed, what))
                }),
            },
        );
    }

    /// Stores the final bytes of a closed batch, or fails it.
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
                        let Shared {
                            buffers, budget, ..
                        } = &*self.shared;
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

/// Seals a batch. A compressed body goes into a pooled buffer of its own. Returns that batch, and
/// the buffer that it was built in if that is free.
///
/// The charge is adjusted to the smaller buffer once the other one is returned to the pool.
fn pack(
    builder: BatchBuilder,
    compression: Compression,
    shared: &Shared,
) -> Result<(SealedBatch, Option<Vec<u8>>)> {
    builder.seal_into(compression, |len| {
        let size = shared.buffers.size_for(len);
        shared.buffers.take(size, shared.budget.used() + size)
    })
}

/// The size in bytes up to which batches are compressed on the sender's task. Larger ones are
/// compressed on another thread.
pub(crate) const INLINE_COMPRESSION: usize = 16 * 1024;
