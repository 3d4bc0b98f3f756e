//! Sealing. A batch takes its place in the partition's order, is compressed, and does not change
//! any more.

use std::sync::Arc;

use milena_core::{Compression, Error, ErrorKind, Result};
use milena_protocol::batch::{BatchBuilder, SealedBatch};
use tokio::sync::mpsc;

use crate::enqueue::partition::OpenBatch;
use crate::enqueue::shared::Shared;
use crate::send::batch::{Batch, Place};
use crate::send::compressors::Compressors;
use crate::send::queue::Queue;
use crate::send::queue::id::QueueId;

/// The final bytes of a batch. With them comes the buffer that it was built in, if that is free.
type Packed = (SealedBatch, Option<Vec<u8>>);

/// Makes the final bytes of batches, small ones at once and large ones on other threads.
pub(super) struct Sealer {
    /// The buffers of batches, and the memory that they count against.
    shared: Arc<Shared>,
    /// The threads that work on large batches.
    compressors: Compressors<Finished>,
    /// The work that these threads have finished.
    finished: mpsc::UnboundedReceiver<Finished>,
}

/// Work that another thread has finished.
pub(super) enum Finished {
    /// A batch was compressed.
    Sealed(QueueId, Place, Result<Packed>),
    /// Batches were rebuilt from one that was too large or partly refused, in the order of their
    /// places.
    Rebuilt(QueueId, Vec<Place>, Vec<Result<SealedBatch>>),
}

impl Finished {
    /// Returns the queue that the batches wait in.
    pub(super) fn queue(&self) -> QueueId {
        match self {
            Self::Sealed(queue, ..) | Self::Rebuilt(queue, ..) => *queue,
        }
    }
}

impl Sealer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (compressors, finished) = Compressors::new(cores);
        Self {
            shared,
            compressors,
            finished,
        }
    }

    /// Closes a batch. It takes its place in the order now, and is compressed if the topic's
    /// settings ask for that. Returns the records that fail because it cannot be sealed, and their
    /// error.
    pub(super) fn close(&self, queue: &mut Queue, open: OpenBatch) -> Option<(u32, Error)> {
        let compression = queue.partition.flow.compression;
        let place = queue.next_place();
        let (builder, batch) = Batch::closed(place, open);
        let size = builder.body_len();
        queue.push(batch);
        if compression == Compression::None || size <= INLINE_COMPRESSION {
            let result = pack(builder, compression, &self.shared);
            return self.store(queue, place, result);
        }
        let (shared, queue) = (self.shared.clone(), queue.id());
        self.compressors.run(
            move || pack(builder, compression, &shared),
            move |result| {
                let cut_off = || Err(cut_off("compressed"));
                Finished::Sealed(queue, place, result.unwrap_or_else(cut_off))
            },
        );
        None
    }

    /// Rebuilds batches that wait in `queue` at `places`. `size` is their size in bytes before
    /// compression. Returns the records that fail, as [`close`](Self::close) does.
    pub(super) fn rebuild(
        &self,
        queue: &mut Queue,
        places: Vec<Place>,
        size: usize,
        job: impl FnOnce() -> Vec<Result<SealedBatch>> + Send + 'static,
    ) -> Vec<(u32, Error)> {
        let id = queue.id();
        if size <= INLINE_COMPRESSION {
            return self.finish(queue, Finished::Rebuilt(id, places, job()));
        }
        // If the job was cut off, nothing was built.
        self.compressors.run(job, move |built| {
            Finished::Rebuilt(id, places, built.unwrap_or_default())
        });
        Vec::new()
    }

    /// Waits for work that another thread has finished.
    pub(super) async fn next(&mut self) -> Option<Finished> {
        self.finished.recv().await
    }

    /// Returns work that another thread has finished. `None` if there is none at present.
    pub(super) fn ended(&mut self) -> Option<Finished> {
        self.finished.try_recv().ok()
    }

    /// Stores finished batches in their queue. Returns the records that fail, as
    /// [`close`](Self::close) does.
    pub(super) fn finish(&self, queue: &mut Queue, finished: Finished) -> Vec<(u32, Error)> {
        match finished {
            Finished::Sealed(_, place, result) => {
                self.store(queue, place, result).into_iter().collect()
            }
            Finished::Rebuilt(_, places, built) => {
                let missing = std::iter::repeat_with(|| Err(cut_off("rebuilt")));
                let built = built.into_iter().chain(missing);
                let store = |(place, built): (Place, Result<SealedBatch>)| {
                    self.store(queue, place, built.map(|sealed| (sealed, None)))
                };
                places.into_iter().zip(built).filter_map(store).collect()
            }
        }
    }

    /// Stores the final bytes of a waiting batch, or fails it.
    fn store(
        &self,
        queue: &mut Queue,
        place: Place,
        result: Result<Packed>,
    ) -> Option<(u32, Error)> {
        let (sealed, spare) = match result {
            Ok(packed) => packed,
            Err(error) => return queue.remove(place, error),
        };
        let batch = queue.waiting_mut(place)?;
        if let Some(spare) = spare {
            let Shared {
                buffers, budget, ..
            } = &*self.shared;
            let held = buffers.size_for(sealed.body().len());
            batch.charge.shrink(held.max(sealed.wire_len()));
            buffers.give(spare, budget.used());
        }
        batch.sealed = Some(sealed);
        None
    }
}

/// Returns the error of a batch whose task panicked before it was `done`.
fn cut_off(done: &str) -> Error {
    let what = format!("the task that {done} the batch was cut off");
    Error::new(ErrorKind::Closed, what)
}

/// Seals a batch. A compressed body goes into a pooled buffer of its own. Returns that batch, and
/// the buffer that it was built in if that is free.
///
/// The charge is adjusted to the smaller buffer once the other one is returned to the pool.
fn pack(builder: BatchBuilder, compression: Compression, shared: &Shared) -> Result<Packed> {
    builder.seal_into(compression, |len| {
        let size = shared.buffers.size_for(len);
        shared.buffers.take(size, shared.budget.used() + size)
    })
}

/// The size in bytes up to which batches are compressed on the send task. Larger ones are
/// compressed on another thread.
const INLINE_COMPRESSION: usize = 16 * 1024;
