//! One partition on the callers' side. Records are encoded straight into its open batch, under one
//! short lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Error, Result, Timestamp, TopicPartition};
use milena_protocol::batch::{BatchBuilder, HEADER_LEN};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::delivery::{Delivery, Receipt};
use crate::enqueue::adaptive::Backlog;
use crate::enqueue::bell;
use crate::enqueue::coarse_time::{ClockRead, CoarseTime};
use crate::enqueue::draft::{RecordDraft, SLACK};
use crate::enqueue::limit::BatchLimit;
use crate::enqueue::memory::Charge;
use crate::enqueue::shared::Shared;
use crate::flow::Flow;

/// The result of an attempt to place a record.
#[derive(Debug)]
pub(crate) enum Placed {
    /// The record is placed, and its order is fixed.
    Here(Delivery),
    /// The batch ended and the caller allowed another partition, so nothing was placed.
    Elsewhere,
    /// The record needs a new batch of this many bytes, which are not free.
    NeedsMemory(usize),
}

/// A partition of a topic. It lives as long as the producer.
#[repr(align(128))]
pub(crate) struct Partition {
    /// The topic and the number.
    pub(crate) place: Arc<TopicPartition>,
    /// The index in the sender's list of partitions.
    pub(crate) id: u32,
    /// The settings of its topic.
    pub(crate) flow: Arc<Flow>,
    /// The count of batches that wait for it. The sender writes it, and callers read it.
    pub(crate) backlog: Backlog,
    /// The largest batch that its topic's brokers accept, as learned from refusals. All partitions
    /// of the topic share it.
    pub(crate) limit: Arc<BatchLimit>,
    /// True while the partition is announced to the sender, which has not looked at it since.
    /// Callers set it and the sender clears it.
    announced: AtomicBool,
    /// The batches that the sender has not taken yet.
    open: Mutex<Open>,
}

/// The batches that callers have filled or are filling, behind the partition's lock.
struct Open {
    /// The batch that takes records. `None` if none is open.
    batch: Option<OpenBatch>,
    /// Batches that are full, oldest first. All were opened before `batch`.
    full: VecDeque<OpenBatch>,
    /// The bytes of batches filled since the sender last looked, or since it was last moved to
    /// another thread.
    unseen: usize,
    /// The size of the last batch in bytes. The next one starts with a buffer of this size.
    last_size: usize,
    /// The time for records without a timestamp.
    time: CoarseTime,
    /// The error for further records, once the producer is closed. `None` before.
    closed: Option<Error>,
}

/// A batch that takes records, or has taken all that it can.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    /// The records as they are encoded.
    pub(crate) builder: BatchBuilder,
    /// The receipt that the deliveries of its records share.
    pub(crate) receipt: Arc<Receipt>,
    /// The bytes of the budget that its buffer holds.
    pub(crate) charge: Charge,
    /// The time at which it was opened. The delivery timeout runs from here.
    pub(crate) opened: Instant,
    /// The index of the record after which it is full, whatever its bytes.
    last_index: u32,
    /// The size in bytes up to which records are appended without further checks. At most `limit`.
    mark: usize,
    /// The most bytes of the batch at present, the smaller of its buffer and the batch size.
    limit: usize,
}

/// Records that were placed next to each other in one batch.
pub(crate) struct Placing {
    /// The receipt of the batch.
    pub(crate) receipt: Arc<Receipt>,
    /// The index of the first record.
    pub(crate) first: u32,
    /// The count of records.
    pub(crate) count: u32,
    /// The bytes of the records, as upper bounds.
    pub(crate) bytes: usize,
}

/// An open batch that one caller holds under the partition's lock.
pub(crate) struct LockedBatch<'a> {
    /// The lock on the partition's batches. Its `batch` is never `None`.
    open: MutexGuard<'a, Open>,
    /// The time of the records without a timestamp.
    now: Timestamp,
    /// The count of records before this caller's.
    first: u32,
    /// The bytes of this caller's records, as upper bounds.
    bytes: usize,
}

impl LockedBatch<'_> {
    /// Appends a record. Returns false if it has no room, in which case nothing was appended.
    #[inline(always)]
    pub(crate) fn append(&mut self, draft: &RecordDraft<'_>) -> bool {
        let now = self.now;
        let Some(batch) = &mut self.open.batch else {
            return false;
        };
        let appended = batch.has_room(draft.size)
            && batch.append(draft, draft.timestamp.unwrap_or(now)).is_ok();
        if appended {
            self.bytes += draft.size;
        }
        appended
    }

    /// Returns the records that were appended. `None` if there are none.
    pub(crate) fn placed(mut self) -> Option<Placing> {
        let Open {
            batch: Some(batch),
            time,
            ..
        } = &mut *self.open
        else {
            return None;
        };
        let count = batch.builder.count() - self.first;
        // The first of them has been counted by the read.
        time.spend(count.saturating_sub(1));
        (count > 0).then(|| Placing {
            receipt: batch.receipt.clone(),
            first: self.first,
            count,
            bytes: self.bytes,
        })
    }
}

/// An attempt to place one record in the rare case.
struct PlaceAttempt<'a, 'b> {
    /// The partition.
    partition: &'a Partition,
    /// The record.
    record: &'a RecordDraft<'b>,
    /// The memory and the clock.
    shared: &'a Shared,
    /// The time of the record.
    stamp: Stamp,
    /// Memory that the caller has waited for. A new batch takes it.
    spare: &'a mut Option<Charge>,
    /// True if the caller goes to another partition rather than open a batch.
    may_leave: bool,
    /// True once the sender has to look at the partition.
    news: bool,
}

/// The time of a record, known before the partition is locked.
#[derive(Clone, Copy)]
enum Stamp {
    /// The record has a timestamp of its own.
    Given(Timestamp),
    /// The clock was read for it. It serves unless an earlier read may be shared.
    Read(ClockRead),
}

impl Stamp {
    /// Reads the clock if the record has no timestamp. No lock may be held.
    fn new(record: &RecordDraft<'_>, shared: &Shared) -> Self {
        match record.timestamp {
            Some(timestamp) => Self::Given(timestamp),
            None => Self::Read(ClockRead::new(shared)),
        }
    }
}

/// Once this many bytes wait that the sender has not looked at, the calling task is assumed not to
/// await. The sender is moved to another thread then.
///
/// Below this size it is faster to wait for the task to await and to send one request than to send
/// two.
const UNSEEN: usize = 256 * 1024;

impl Partition {
    pub(crate) fn new(
        place: TopicPartition,
        id: u32,
        flow: Arc<Flow>,
        limit: Arc<BatchLimit>,
    ) -> Self {
        Self {
            place: Arc::new(place),
            id,
            flow,
            limit,
            backlog: Backlog::new(),
            announced: AtomicBool::new(false),
            open: Mutex::new(Open {
                batch: None,
                full: VecDeque::new(),
                unseen: 0,
                last_size: 0,
                time: CoarseTime::default(),
                closed: None,
            }),
        }
    }

    /// Encodes a record into the open batch. Its order is fixed when this returns [`Placed::Here`].
    ///
    /// `spare` is memory that the caller has waited for. With `may_leave`, nothing is placed if the
    /// batch has just ended.
    #[inline(always)]
    pub(crate) fn place(
        &self,
        record: &RecordDraft<'_>,
        shared: &Shared,
        spare: &mut Option<Charge>,
        may_leave: bool,
    ) -> Result<Placed> {
        match self.place_quickly(record, shared) {
            Some((receipt, index)) => Ok(Placed::Here(Delivery::new(receipt, index))),
            None => self.place_anew(record, shared, spare, may_leave),
        }
    }

    /// Encodes a record in the common case, when the open batch has room. Returns the receipt and
    /// the record's index in it. `None` is any other case, in which nothing was placed.
    // Inlined, with a result of two values that fit into registers. A result passed through memory
    // at each level cost more than encoding the record.
    #[inline(always)]
    pub(crate) fn place_quickly(
        &self,
        record: &RecordDraft<'_>,
        shared: &Shared,
    ) -> Option<(Arc<Receipt>, u32)> {
        let mut open = self.open.lock();
        let (batch, time) = open.room_for(record.size)?;
        let timestamp = match record.timestamp.or_else(|| time.share(shared)) {
            Some(timestamp) => timestamp,
            None => {
                drop(open);
                return self.place_timed(record, shared);
            }
        };
        batch.add(record, timestamp)
    }

    /// Encodes a record as [`place_quickly`](Self::place_quickly) does, with a new read of the
    /// clock.
    // Apart from the common case, and after its lock was released. The clock may be the user's
    // code, which may enqueue to this partition.
    #[cold]
    #[inline(never)]
    fn place_timed(
        &self,
        record: &RecordDraft<'_>,
        shared: &Shared,
    ) -> Option<(Arc<Receipt>, u32)> {
        let read = ClockRead::new(shared);
        let mut open = self.open.lock();
        let (batch, time) = open.room_for(record.size)?;
        let timestamp = time.take(read, shared);
        batch.add(record, timestamp)
    }

    /// Locks the open batch, to place many records under one lock. `None` if no batch is open or
    /// the partition is closed. No code of the caller may run while the lock is held.
    pub(crate) fn lock_open<'a>(&'a self, shared: &Shared) -> Option<LockedBatch<'a>> {
        let mut open = self.open.lock();
        open.takes_records()?;
        let now = match open.time.share(shared) {
            Some(now) => now,
            None => {
                // The clock may be the user's code, so it runs while the lock is not held.
                drop(open);
                let read = ClockRead::new(shared);
                open = self.open.lock();
                open.takes_records()?;
                open.time.take(read, shared)
            }
        };
        let first = open.takes_records()?;
        Some(LockedBatch {
            first,
            bytes: 0,
            now,
            open,
        })
    }

    /// Encodes a record in the rare case, when the batch has to grow or a new one has to be opened.
    #[cold]
    #[inline(never)]
    fn place_anew(
        &self,
        record: &RecordDraft<'_>,
        shared: &Shared,
        spare: &mut Option<Charge>,
        may_leave: bool,
    ) -> Result<Placed> {
        let mut attempt = PlaceAttempt {
            partition: self,
            record,
            shared,
            stamp: Stamp::new(record, shared),
            spare,
            may_leave,
            news: false,
        };
        let mut open = self.open.lock();
        let marked = open.batch.as_mut().is_some_and(OpenBatch::passes_mark);
        let placed = open.place(&mut attempt);
        let news = attempt.news;
        let much = marked || open.unseen >= UNSEEN;
        if much {
            open.unseen = 0;
        }
        drop(open);
        if much && self.announced.load(Ordering::Acquire) && shared.bell.is_resting() {
            bell::run_elsewhere();
        }
        if news && !self.announced.swap(true, Ordering::AcqRel) {
            shared.bell.announce(self.id);
        }
        placed
    }

    /// Returns the most bytes of a batch of several records.
    fn batch_size(&self) -> usize {
        self.flow.batch_size.min(self.limit.get())
    }

    /// Hands the full batches to the sender. Returns the time at which the open batch was opened,
    /// if there is one.
    pub(crate) fn collect(&self, into: &mut Vec<OpenBatch>) -> Option<Instant> {
        // Before the lock, so that a batch placed after this is announced again.
        self.announced.store(false, Ordering::Release);
        let mut open = self.open.lock();
        into.extend(open.full.drain(..));
        open.unseen = 0;
        open.batch.as_ref().map(|batch| batch.opened)
    }

    /// Hands the oldest batch to the sender, full or not. As a rule that is the open one.
    pub(crate) fn take_open(&self) -> Option<OpenBatch> {
        let mut open = self.open.lock();
        // Invariant: batches leave in the order in which they were opened. The batch that was open
        // when the sender last looked may have become full since, with another one open behind it.
        // The caller has announced that, so the sender takes the rest later.
        if let Some(full) = open.full.pop_front() {
            return Some(full);
        }
        let batch = open.batch.take()?;
        open.last_size = batch.builder.wire_len();
        Some(batch)
    }

    /// Refuses records from now on.
    pub(crate) fn close(&self, error: &Error) {
        // The first reason stays.
        self.open.lock().closed.get_or_insert_with(|| error.clone());
    }
}

impl Open {
    /// Returns the count of records of the open batch. `None` if no batch is open or the partition
    /// is closed.
    fn takes_records(&self) -> Option<u32> {
        let batch = self.batch.as_ref().filter(|_| self.closed.is_none())?;
        Some(batch.builder.count())
    }

    /// Returns the open batch and the time for its records. `None` if no batch is open, if a record
    /// of `size` bytes has no room in it, or if the partition is closed.
    #[inline(always)]
    fn room_for(&mut self, size: usize) -> Option<(&mut OpenBatch, &mut CoarseTime)> {
        match self {
            Self {
                batch: Some(batch),
                time,
                closed: None,
                ..
            } if batch.has_room(size) => Some((batch, time)),
            _ => None,
        }
    }

    /// Encodes a record, after the current batch has grown or ended if that is needed.
    fn place(&mut self, attempt: &mut PlaceAttempt<'_, '_>) -> Result<Placed> {
        let PlaceAttempt {
            partition,
            record,
            shared,
            ..
        } = *attempt;
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        if let Some(batch) = &mut self.batch
            && !batch.fits(record.size, batch.limit)
            && !batch.grow(record.size, partition.batch_size(), shared)
        {
            self.end_batch();
            attempt.news = true;
        }
        let batch = match &mut self.batch {
            Some(batch) => batch,
            None if attempt.may_leave => return Ok(Placed::Elsewhere),
            none => {
                let wanted = record.size + SLACK + HEADER_LEN;
                let usual = self.last_size.min(partition.batch_size());
                let Some(charge) = charge_for(wanted, usual, shared, attempt.spare) else {
                    return Ok(Placed::NeedsMemory(shared.buffers.size_for(wanted)));
                };
                attempt.news = true;
                self.time.refresh();
                none.insert(OpenBatch::new(partition, charge, shared))
            }
        };
        let timestamp = match attempt.stamp {
            Stamp::Given(timestamp) => timestamp,
            Stamp::Read(read) => match self.time.share(shared) {
                Some(timestamp) => timestamp,
                None => self.time.take(read, shared),
            },
        };
        let index = batch.append(record, timestamp)?;
        let receipt = batch.receipt.clone();
        if index >= batch.last_index {
            self.end_batch();
            attempt.news = true;
        }
        Ok(Placed::Here(Delivery::new(receipt, index)))
    }

    /// Moves the open batch to the full ones, so that no record joins it.
    fn end_batch(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.last_size = batch.builder.wire_len();
            self.unseen += self.last_size;
            self.full.push_back(batch);
        }
    }
}

impl OpenBatch {
    /// Opens a batch in a buffer as large as `charge`.
    fn new(partition: &Partition, charge: Charge, shared: &Shared) -> Self {
        let limit = charge.bytes().min(partition.batch_size());
        let buffer = shared.buffers.take(charge.bytes(), shared.budget.used());
        Self {
            mark: limit.min(UNSEEN),
            limit,
            builder: BatchBuilder::with_buffer(buffer),
            receipt: Receipt::new(partition.place.clone()),
            charge,
            opened: Instant::now(),
            last_index: partition.flow.batch_records.saturating_sub(1),
        }
    }

    /// Encodes a record at the end of the batch. Returns its index.
    #[inline(always)]
    fn append(&mut self, record: &RecordDraft<'_>, timestamp: Timestamp) -> Result<u32> {
        let builder = &mut self.builder;
        let at = builder.append(timestamp, record.key, record.value, record.headers)?;
        Ok(at.index)
    }

    /// Encodes a record at the end of the batch. Returns the receipt and the record's index. `None`
    /// if the record cannot be encoded.
    #[inline(always)]
    fn add(
        &mut self,
        record: &RecordDraft<'_>,
        timestamp: Timestamp,
    ) -> Option<(Arc<Receipt>, u32)> {
        let receipt = self.receipt.clone();
        let index = self.append(record, timestamp).ok()?;
        Some((receipt, index))
    }

    /// Returns true if a record can be appended that is not the batch's last.
    #[inline(always)]
    fn has_room(&self, size: usize) -> bool {
        self.fits(size, self.mark) && self.builder.count() < self.last_index
    }

    /// Returns true if a record of `size` bytes fits into a batch of `bytes` bytes.
    #[inline(always)]
    fn fits(&self, size: usize, bytes: usize) -> bool {
        self.builder.wire_len() + size + SLACK <= bytes
    }

    /// Returns true if the batch was limited to [`UNSEEN`] bytes so far, and lifts that limit.
    fn passes_mark(&mut self) -> bool {
        let at_mark = self.mark == UNSEEN;
        if at_mark {
            self.mark = self.limit;
        }
        at_mark
    }

    /// Makes room with a larger buffer, up to the batch size and as the budget allows.
    fn grow(&mut self, size: usize, batch_size: usize, shared: &Shared) -> bool {
        let wanted = self.builder.wire_len() + size + SLACK;
        // A first record may be larger than the batch size, but no other record joins it.
        if wanted > batch_size || !self.charge.try_grow(shared.buffers.size_for(wanted)) {
            return false;
        }
        self.limit = self.charge.bytes().min(batch_size);
        self.mark = match self.limit {
            bytes if self.mark < UNSEEN => bytes.min(UNSEEN),
            bytes => bytes,
        };
        // The records move to a pooled buffer of that size. A buffer that grew by itself would not
        // return to the pool of small ones, and each batch would allocate a new small one.
        let used = shared.budget.used();
        let larger = shared.buffers.take(self.charge.bytes(), used);
        shared.buffers.give(self.builder.move_into(larger), used);
        true
    }
}

/// Takes memory for a new batch, as much as the last batch needed. If that is not free, takes as
/// much as this record needs.
fn charge_for(
    wanted: usize,
    last: usize,
    shared: &Shared,
    spare: &mut Option<Charge>,
) -> Option<Charge> {
    if let Some(charge) = spare.take_if(|charge| charge.bytes() >= wanted) {
        return Some(charge);
    }
    let least = shared.buffers.size_for(wanted);
    let usual = shared.buffers.size_for(last);
    if usual > least
        && let Some(charge) = shared.budget.try_take(usual)
    {
        return Some(charge);
    }
    shared.budget.try_take(least)
}

#[cfg(test)]
mod tests;
