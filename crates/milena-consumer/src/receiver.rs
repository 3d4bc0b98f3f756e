//! Reading without a handler: record by record, or batch by batch for speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use milena_core::{ConsumerRecord, Error, ErrorKind, LeaderEpoch, Offset, Result, TopicPartition};
use milena_protocol::batch::OwnedRecords;
use parking_lot::Mutex;

use crate::batch::{self, FetchBatch, Opened, consumer_record};
use crate::budget::Pinned;
use crate::core::{Core, End};
use crate::partition::Partition;

/// Hands out records of all partitions in turn, a batch of each at a time.
pub(crate) struct Receiver {
    core: Arc<Core>,
    current: Mutex<Option<Current>>,
    turn: AtomicUsize,
}

/// The batch whose records are being handed out.
struct Current {
    partition: Arc<Partition>,
    records: OwnedRecords,
    turn: u64,
    from: Offset,
    /// One past the last record handed out.
    position: Offset,
    next: Offset,
    epoch: Option<LeaderEpoch>,
    _pinned: Arc<Pinned>,
}

impl Receiver {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self {
            core,
            current: Mutex::new(None),
            turn: AtomicUsize::new(0),
        }
    }

    pub(crate) async fn recv(&self) -> Result<ConsumerRecord> {
        loop {
            if let Some(record) = self.current.lock().as_mut().and_then(Current::next) {
                return record;
            }
            self.settle_current();
            let (partition, opened) = self.next_batch().await?;
            self.settle_current();
            *self.current.lock() = Some(Current::new(partition, opened));
        }
    }

    pub(crate) async fn recv_batch(&self) -> Result<FetchBatch> {
        // What a receiver of single records has begun goes first, so that order holds.
        self.give_back_current();
        let (partition, opened) = self.next_batch().await?;
        partition.passed(opened.turn, opened.next_offset(), opened.epoch());
        Ok(opened.into_batch(partition.place()))
    }

    /// Notes how far the records were handed out.
    pub(crate) fn note_position(&self) {
        if let Some(current) = &*self.current.lock() {
            current.note();
        }
    }

    /// The batch in hand is done or out of date.
    fn settle_current(&self) {
        if let Some(current) = self.current.lock().take() {
            if current.is_done() {
                current
                    .partition
                    .passed(current.turn, current.next, current.epoch);
            } else {
                current.note();
            }
        }
    }

    /// The rest of the batch in hand is to be read again, by batch.
    pub(crate) fn give_back_current(&self) {
        if let Some(current) = self.current.lock().take() {
            current.note();
            if current.is_done() {
                current
                    .partition
                    .passed(current.turn, current.next, current.epoch);
            } else {
                current.partition.refetch(current.turn);
            }
        }
    }

    /// Waits for the next batch of any partition that is not paused.
    async fn next_batch(&self) -> Result<(Arc<Partition>, Opened)> {
        loop {
            let woken = self.core.ready.notified();
            let mut woken = std::pin::pin!(woken);
            woken.as_mut().enable();
            if let Some(end) = self.core.ended() {
                return Err(ended(end));
            }
            if self.core.is_processing() {
                let what = "the consumer runs a handler, which gets its records";
                return Err(Error::new(ErrorKind::State, what));
            }
            let partitions = self.core.partitions();
            let start = self.turn.fetch_add(1, Ordering::Relaxed);
            for at in 0..partitions.len() {
                let at = start.wrapping_add(at) % partitions.len();
                let Some(partition) = partitions.get(at) else {
                    continue;
                };
                if partition.is_paused() {
                    continue;
                }
                if let Some(opened) = batch::open(&self.core, partition).await? {
                    // Others may wait for what is left.
                    self.core.ready.notify_one();
                    return Ok((Arc::clone(partition), opened));
                }
            }
            woken.await;
        }
    }

    /// Whether the batch in hand is of this partition.
    pub(crate) fn holds(&self, place: &TopicPartition) -> bool {
        let current = self.current.lock();
        current
            .as_ref()
            .is_some_and(|current| current.partition.place() == place)
    }
}

impl Current {
    fn new(partition: Arc<Partition>, opened: Opened) -> Self {
        Self {
            records: opened.owned(),
            turn: opened.turn,
            from: opened.from,
            position: opened.from,
            next: opened.next_offset(),
            epoch: opened.epoch(),
            partition,
            _pinned: opened.pinned,
        }
    }

    /// The next record; `None` at the end, or when the partition was sought, revoked or paused.
    fn next(&mut self) -> Option<Result<ConsumerRecord>> {
        if !self.partition.is_current(self.turn) {
            return None;
        }
        loop {
            match self.records.next() {
                Some(Ok(record)) if record.offset < self.from => {}
                Some(Ok(record)) => {
                    self.position = record.offset.next();
                    return Some(Ok(consumer_record(
                        self.partition.place(),
                        self.epoch,
                        record,
                    )));
                }
                Some(Err(error)) => {
                    self.note();
                    self.partition.refetch(self.turn);
                    return Some(Err(error.at(self.partition.place()).offset(self.position)));
                }
                None => {
                    self.position = self.next;
                    return None;
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.position >= self.next
    }

    fn note(&self) {
        self.partition.passed(self.turn, self.position, self.epoch);
    }
}

fn ended(end: End) -> Error {
    match end {
        End::Failed(error) => error,
        End::Closed => Error::new(ErrorKind::Closed, "the consumer is closed"),
        End::Stopped(reason) => Error::new(
            ErrorKind::Closed,
            format!("the consumer was stopped: {reason}"),
        ),
    }
}
