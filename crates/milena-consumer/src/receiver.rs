//! Reading without a handler, record by record, several at a time, or batch by batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use milena_core::{ConsumerRecord, Error, ErrorKind, LeaderEpoch, Offset, Result, TopicPartition};
use milena_fetch::{FetchBatch, Opened, Pinned, Rest};
use milena_lanes::End;
use milena_protocol::batch::Records;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::core::Core;
use crate::fetch::unpack::Unpacking;
use crate::partition::{Partition, Reading};

/// Returns records of all partitions in turn, one batch of each at a time.
///
/// A record is taken and returned in one step without an await. A future that is dropped while it
/// waits therefore holds no record.
pub(crate) struct Receiver {
    /// The state of the consumer.
    core: Arc<Core>,
    /// The batch whose records are being returned one by one. `None` if there is none.
    current: Mutex<Option<Current>>,
    /// Batches taken since a receiving task last yielded.
    taken: AtomicUsize,
}

/// A batch whose records are returned one by one.
struct Current {
    /// The partition of the batch.
    partition: Arc<Partition>,
    /// All records of the batch.
    records: Records,
    /// The records that are not returned yet.
    rest: Rest,
    /// The partition's `turn` in which the batch was fetched. The batch is stale once the partition
    /// has another one.
    turn: u64,
    /// One past the last record that was returned.
    position: Offset,
    /// The offset behind the batch.
    next: Offset,
    /// The leader epoch of the batch.
    epoch: Option<LeaderEpoch>,
    /// The memory of the records.
    pinned: Arc<Pinned>,
}

impl Receiver {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            current: Mutex::new(None),
            taken: AtomicUsize::new(0),
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Waits for the next batch.
    pub(crate) async fn recv_batch(&self) -> Result<FetchBatch> {
        if self.is_to_rest() {
            tokio::task::yield_now().await;
        }
        self.wait_for(|| self.try_recv_batch()).await
    }

    /// Waits for a record, and returns it with those that are ready, up to `max`. Returns none if
    /// `wait` is over first.
    pub(crate) async fn next_batch(
        &self,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<ConsumerRecord>> {
        let mut records = Vec::new();
        if max == 0 {
            return Ok(records);
        }
        let Ok(first) = timeout(wait, self.wait_for(|| self.try_recv())).await else {
            return Ok(records);
        };
        records.push(first?);
        while records.len() < max {
            match self.try_recv() {
                Some(Ok(record)) => records.push(record),
                // The next call meets the error again and returns it.
                None | Some(Err(_)) => break,
            }
        }
        Ok(records)
    }

    /// Waits until `take` returns something.
    async fn wait_for<T>(&self, mut take: impl FnMut() -> Option<Result<T>>) -> Result<T> {
        // Tries without registering a waiter first, since that is cheaper when a record is ready.
        if let Some(taken) = take() {
            return taken;
        }
        loop {
            let mut woken = std::pin::pin!(self.core.wakes.ready.notified());
            woken.as_mut().enable();
            if let Some(taken) = take() {
                return taken;
            }
            woken.await;
        }
    }

    /// Returns the next record without waiting. `None` if none is ready.
    fn try_recv(&self) -> Option<Result<ConsumerRecord>> {
        match self.poll_recv(|record| record, || false) {
            Poll::Ready(record) => Some(record),
            Poll::Pending => None,
        }
    }

    /// Returns the next record, converted by `wrap`. If none is ready, calls `again` without the
    /// lock, and looks once more if that returns true.
    ///
    /// A record is large. Building the caller's type here is cheaper than moving the record out
    /// first.
    pub(crate) fn poll_recv<T>(
        &self,
        mut wrap: impl FnMut(Result<ConsumerRecord>) -> T,
        mut again: impl FnMut() -> bool,
    ) -> Poll<T> {
        let mut current = self.current.lock();
        loop {
            if let Some(batch) = current.as_mut() {
                if let Some(record) = batch.next(&self.core.unpacking) {
                    return Poll::Ready(wrap(record));
                }
                put_back(&mut current);
            }
            match self.take() {
                Ok(Some((partition, opened))) => *current = Some(Current::new(partition, opened)),
                Ok(None) => {
                    if !MutexGuard::unlocked(&mut current, &mut again) {
                        return Poll::Pending;
                    }
                }
                Err(error) => return Poll::Ready(wrap(Err(error))),
            }
        }
    }

    /// Returns the next batch without waiting. `None` if none is ready.
    pub(crate) fn try_recv_batch(&self) -> Option<Result<FetchBatch>> {
        let mut current = self.current.lock();
        // The rest of a batch that a receiver of single records has begun comes first, to keep the
        // order.
        put_back(&mut current);
        match self.take() {
            Ok(Some((partition, opened))) => {
                Reading::of(&partition).passed(opened.turn, opened.next_offset(), opened.epoch());
                Some(Ok(opened.into_batch(partition.place())))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Returns an error if the consumer has ended or a handler gets the records.
    fn check(&self) -> Result<()> {
        if let Some(end) = self.core.lifecycle.ended() {
            return Err(ended(end));
        }
        if self.core.assignment.is_processing() {
            let what = "the consumer runs a handler, which gets its records: receive with another consumer";
            return Err(Error::new(ErrorKind::State, what));
        }
        Ok(())
    }

    /// Takes the next batch of any partition that is not paused. Partitions with something to read
    /// take turns.
    fn take(&self) -> Result<Option<(Arc<Partition>, Opened)>> {
        self.check()?;
        while let Some(partition) = self.core.wakes.readable.pop(Partition::ready_mark) {
            if partition.is_paused() {
                continue;
            }
            let opened = self
                .core
                .unpacking
                .open(self.core.lifecycle.runtime(), &partition);
            if matches!(opened, Ok(None)) {
                continue;
            }
            // The partition may have more, so it goes to the end of the list again.
            partition.tell_readable();
            let Some(opened) = opened? else { continue };
            self.taken.fetch_add(1, Ordering::Relaxed);
            // Other receivers may wait for the rest.
            self.core.wakes.wake_receivers();
            return Ok(Some((partition, opened)));
        }
        Ok(None)
    }

    /// Returns true if the calling task should yield. It has then taken many batches without
    /// waiting, and the fetcher may wait for the worker thread that it runs on.
    #[inline]
    pub(crate) fn is_to_rest(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= REST && self.taken.swap(0, Ordering::Relaxed) >= REST
    }

    /// Puts the rest of the current batch back if it is of this partition. It is kept until the
    /// partition is read again.
    pub(crate) fn lay_aside(&self, place: &TopicPartition) {
        let mut current = self.current.lock();
        if current
            .as_ref()
            .is_some_and(|current| current.partition.place() == place)
        {
            put_back(&mut current);
        }
    }
}

/// Puts the rest of the current batch back into its partition.
fn put_back(current: &mut MutexGuard<'_, Option<Current>>) {
    let Some(batch) = current.take() else { return };
    if !batch.has_more() {
        Reading::of(&batch.partition).passed(batch.turn, batch.next, batch.epoch);
        return;
    }
    batch.note();
    Reading::of(&batch.partition).put_back(Opened {
        records: batch.records,
        from: batch.position,
        turn: batch.turn,
        pinned: batch.pinned,
    });
}

impl Current {
    fn new(partition: Arc<Partition>, opened: Opened) -> Self {
        Self {
            rest: opened.rest(),
            turn: opened.turn,
            position: opened.from,
            next: opened.next_offset(),
            epoch: opened.epoch(),
            partition,
            records: opened.records,
            pinned: opened.pinned,
        }
    }

    /// Returns the next record. `None` at the end of the batch, or if the partition was moved by a
    /// seek or revoked meanwhile.
    #[inline(always)]
    fn next(&mut self, unpacking: &Unpacking) -> Option<Result<ConsumerRecord>> {
        if !self.partition.is_current(self.turn) {
            return None;
        }
        match self.rest.next(self.partition.place()) {
            Some(Ok(record)) => {
                self.position = record.offset.next();
                Reading::of(&self.partition).hand_out(self.position);
                Some(Ok(record))
            }
            Some(Err(error)) => {
                self.note();
                let end = unpacking.end_of(self.next);
                let told = unpacking
                    .unreadable(&self.partition, self.turn, end, &error)
                    .err();
                self.position = self.next;
                told.map(Err)
            }
            None => {
                self.position = self.next;
                None
            }
        }
    }

    /// Returns true if the batch has records that are not returned yet.
    fn has_more(&self) -> bool {
        self.position < self.next
    }

    /// Notes in the partition how far the batch was returned.
    fn note(&self) {
        Reading::of(&self.partition).note_read(self.turn, self.position, self.epoch);
    }
}

/// Returns the error that receivers get after the end of the consumer.
pub(crate) fn ended(end: End) -> Error {
    match end {
        End::Failed(error) => error,
        End::Closed => Error::new(ErrorKind::Closed, "the consumer is closed"),
        End::Stopped(reason) => Error::new(
            ErrorKind::Closed,
            format!("the consumer was stopped: {reason}"),
        ),
    }
}

/// The number of batches after which a task that receives without waiting yields.
const REST: usize = 64;
