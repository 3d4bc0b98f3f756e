//! Reading without a handler: record by record, some at a time, or batch by batch for speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use milena_core::{ConsumerRecord, Error, ErrorKind, LeaderEpoch, Offset, Result, TopicPartition};
use milena_protocol::batch::Records;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::batch::{FetchBatch, Opened, Rest};
use crate::budget::Pinned;
use crate::core::{Core, End};
use crate::partition::Partition;
use crate::unpack;

/// Hands out records of all partitions in turn, a batch of each at a time.
///
/// Whatever it gives is taken and given within one step that does not wait, so that a future dropped while it waits has nothing.
pub(crate) struct Receiver {
    core: Arc<Core>,
    current: Mutex<Option<Current>>,
    /// Batches taken since a task rested.
    taken: AtomicUsize,
}

/// The batch whose records are being handed out.
struct Current {
    partition: Arc<Partition>,
    records: Records,
    rest: Rest,
    turn: u64,
    /// One past the last record handed out.
    position: Offset,
    next: Offset,
    epoch: Option<LeaderEpoch>,
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

    pub(crate) async fn recv_batch(&self) -> Result<FetchBatch> {
        if self.is_to_rest() {
            tokio::task::yield_now().await;
        }
        self.wait_for(|| self.try_recv_batch()).await
    }

    /// Up to `max` records, as soon as there is one; none when `wait` is over first.
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
                // An error is told by the next call, which meets it again.
                None | Some(Err(_)) => break,
            }
        }
        Ok(records)
    }

    /// Waits until `take` gives something.
    async fn wait_for<T>(&self, mut take: impl FnMut() -> Option<Result<T>>) -> Result<T> {
        // To wait costs more than to take what is there.
        if let Some(taken) = take() {
            return taken;
        }
        loop {
            let mut woken = std::pin::pin!(self.core.ready.notified());
            woken.as_mut().enable();
            if let Some(taken) = take() {
                return taken;
            }
            woken.await;
        }
    }

    /// The next record, if one is there.
    fn try_recv(&self) -> Option<Result<ConsumerRecord>> {
        match self.poll_recv(|record| record, || false) {
            Poll::Ready(record) => Some(record),
            Poll::Pending => None,
        }
    }

    /// The next record as `wrap` makes it; where there is none, `again` says whether to look once more.
    ///
    /// A record is large, and costs less to make where it is going to be than to move: what is wanted of it is made of it here.
    pub(crate) fn poll_recv<T>(
        &self,
        mut wrap: impl FnMut(Result<ConsumerRecord>) -> T,
        mut again: impl FnMut() -> bool,
    ) -> Poll<T> {
        let mut current = self.current.lock();
        loop {
            if let Some(batch) = current.as_mut() {
                if let Some(record) = batch.next(&self.core) {
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

    /// The next batch, if one is there.
    pub(crate) fn try_recv_batch(&self) -> Option<Result<FetchBatch>> {
        let mut current = self.current.lock();
        // What a receiver of single records has begun goes first, so that order holds.
        put_back(&mut current);
        match self.take() {
            Ok(Some((partition, opened))) => {
                partition.passed(opened.turn, opened.next_offset(), opened.epoch());
                Some(Ok(opened.into_batch(partition.place())))
            }
            Ok(None) => None,
            Err(error) => Some(Err(error)),
        }
    }

    fn check(&self) -> Result<()> {
        if let Some(end) = self.core.ended() {
            return Err(ended(end));
        }
        if self.core.is_processing() {
            let what = "the consumer runs a handler, which gets its records";
            return Err(Error::new(ErrorKind::State, what));
        }
        Ok(())
    }

    /// The next batch of any partition that is not paused, taken in hand. Partitions with something to read take turns.
    fn take(&self) -> Result<Option<(Arc<Partition>, Opened)>> {
        self.check()?;
        while let Some(partition) = self.core.readable.pop(Partition::ready_mark) {
            if partition.is_paused() {
                continue;
            }
            let opened = unpack::open(&self.core, &partition);
            if matches!(opened, Ok(None)) {
                continue;
            }
            // For the rest of it.
            partition.tell_readable();
            let Some(opened) = opened? else { continue };
            self.taken.fetch_add(1, Ordering::Relaxed);
            // Others may wait for what is left.
            self.core.ready.notify_waiters();
            return Ok(Some((partition, opened)));
        }
        Ok(None)
    }

    /// Whether its task is to rest: it has taken many batches without waiting, and the fetcher may wait for the worker that it runs on.
    #[inline]
    pub(crate) fn is_to_rest(&self) -> bool {
        self.taken.load(Ordering::Relaxed) >= REST && self.taken.swap(0, Ordering::Relaxed) >= REST
    }

    /// The rest of the batch in hand, if it is of this partition, is kept until the partition is read again.
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

/// What is left of the batch in hand goes back to its partition.
fn put_back(current: &mut MutexGuard<'_, Option<Current>>) {
    let Some(batch) = current.take() else { return };
    if !batch.has_more() {
        batch.partition.passed(batch.turn, batch.next, batch.epoch);
        return;
    }
    batch.note();
    batch.partition.put_back(Opened {
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

    /// The next record; `None` at the end, or when the partition was sought, revoked or paused.
    #[inline(always)]
    fn next(&mut self, core: &Core) -> Option<Result<ConsumerRecord>> {
        if !self.partition.is_current(self.turn) {
            return None;
        }
        match self.rest.next(self.partition.place()) {
            Some(Ok(record)) => {
                self.position = record.offset.next();
                self.partition.hand_out(self.position);
                Some(Ok(record))
            }
            Some(Err(error)) => {
                self.note();
                let end = unpack::end_of(core, self.next);
                let told = unpack::unreadable(core, &self.partition, self.turn, end, &error).err();
                self.position = self.next;
                told.map(Err)
            }
            None => {
                self.position = self.next;
                None
            }
        }
    }

    fn has_more(&self) -> bool {
        self.position < self.next
    }

    fn note(&self) {
        self.partition
            .note_read(self.turn, self.position, self.epoch);
    }
}

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

/// After how many batches a task that receives without waiting lets others run.
const REST: usize = 16;
