//! One partition on the callers' side: records are encoded straight into its open batch, under one short lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Error, HeadersRef, Result, Timestamp, TopicPartition};
use milena_protocol::batch::{BatchBuilder, HEADER_LEN};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::adaptive::Backlog;
use crate::delivery::{Delivery, Receipt};
use crate::flow::Flow;
use crate::key_value::KeyValue;
use crate::limit::BatchLimit;
use crate::memory::{Budget, Buffers, Charge};
use crate::ready::{self, Ready};
use crate::tick::Tick;

/// A record to be encoded, borrowed from the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: HeadersRef<'a>,
    /// `None` is the time of sending.
    pub(crate) timestamp: Option<Timestamp>,
    /// The most bytes that it takes in a batch.
    pub(crate) size: usize,
}

impl<'a> Draft<'a> {
    #[inline]
    pub(crate) fn of(record: &'a impl KeyValue) -> Self {
        Self::new(record.key(), record.value(), HeadersRef::empty(), None)
    }

    #[inline]
    pub(crate) fn new(
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: HeadersRef<'a>,
        timestamp: Option<Timestamp>,
    ) -> Self {
        Self {
            key,
            value,
            headers,
            timestamp,
            size: BatchBuilder::upper_bound(key, value, headers),
        }
    }
}

/// What all partitions share: memory, the sender's ear, the clock.
pub(crate) struct Desk {
    pub(crate) budget: Arc<Budget>,
    pub(crate) buffers: Buffers,
    pub(crate) ready: Ready,
    pub(crate) clock: Clock,
    /// Tells when a read of `clock` is too old to be shared.
    pub(crate) tick: Tick,
}

/// The wall clock that stamps records.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What became of an attempt to place a record.
#[derive(Debug)]
pub(crate) enum Placed {
    /// Its place is fixed.
    Here(Delivery),
    /// The batch ended, and the caller said that it would rather go to another partition then.
    Elsewhere,
    /// A new batch needs so many bytes of the budget, which are not free.
    NeedsMemory(usize),
}

/// A partition of a topic, for as long as the producer lives.
#[repr(align(128))]
pub(crate) struct Partition {
    pub(crate) place: Arc<TopicPartition>,
    /// Its number in the sender.
    pub(crate) id: u32,
    pub(crate) flow: Arc<Flow>,
    pub(crate) backlog: Backlog,
    /// What its topic's brokers take at most, as far as they refused more.
    pub(crate) limit: Arc<BatchLimit>,
    announced: AtomicBool,
    open: Mutex<Open>,
}

struct Open {
    batch: Option<OpenBatch>,
    full: VecDeque<OpenBatch>,
    /// Bytes of full batches since the sender looked, or was told of so many.
    unseen: usize,
    /// How large the last batch became: the next one starts with such a buffer.
    last_size: usize,
    time: CoarseTime,
    closed: Option<Error>,
}

/// A batch that takes records, or took them until it was full.
#[derive(Debug)]
pub(crate) struct OpenBatch {
    pub(crate) builder: BatchBuilder,
    pub(crate) receipt: Arc<Receipt>,
    pub(crate) charge: Charge,
    pub(crate) opened: Instant,
    /// The index of the record after which it is full, whatever its bytes.
    last_index: u32,
    /// Up to so many bytes records are appended without another look.
    mark: usize,
    /// The most bytes of the batch as it is now: those of its buffer, and of the batch size.
    limit: usize,
}

/// Records that were placed next to each other.
pub(crate) struct Placing {
    pub(crate) receipt: Arc<Receipt>,
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) bytes: usize,
}

/// An open batch that one caller holds.
pub(crate) struct LockedBatch<'a> {
    open: MutexGuard<'a, Open>,
    desk: &'a Desk,
    first: u32,
    limit: u32,
    bytes: usize,
}

impl LockedBatch<'_> {
    /// Appends a record; false where it has no room, and nothing was appended.
    #[inline(always)]
    pub(crate) fn append(&mut self, draft: &Draft<'_>) -> bool {
        let Open {
            batch: Some(batch),
            time,
            ..
        } = &mut *self.open
        else {
            return false;
        };
        let room = batch.has_room(draft.size) && batch.builder.count() < self.limit;
        let appended = room && batch.append(draft, time, self.desk).is_ok();
        if appended {
            self.bytes += draft.size;
        }
        appended
    }

    /// What was appended, if anything was.
    pub(crate) fn placed(self) -> Option<Placing> {
        let batch = self.open.batch.as_ref()?;
        let count = batch.builder.count() - self.first;
        (count > 0).then(|| Placing {
            receipt: batch.receipt.clone(),
            first: self.first,
            count,
            bytes: self.bytes,
        })
    }
}

/// The most records placed under one lock, about 10 µs: other callers and the sender wait meanwhile.
const LONGEST_RUN: u32 = 512;

/// So many bytes that the sender has not looked at show that a task enqueues on and on without awaiting, which holds the sender back.
///
/// Less is sooner sent whole, by the sender's turn after the task's, than in two requests.
const UNSEEN: usize = 256 * 1024;

/// What the encoder reserves beyond a record's own bytes.
const SLACK: usize = 32;

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

    /// Encodes a record into the open batch; its order is fixed when this returns [`Placed::Here`].
    ///
    /// `spare` is memory that the caller waited for. With `may_leave` nothing is placed where a batch just ended.
    #[inline(always)]
    pub(crate) fn place(
        &self,
        record: &Draft<'_>,
        desk: &Desk,
        spare: &mut Option<Charge>,
        may_leave: bool,
    ) -> Result<Placed> {
        match self.place_quickly(record, desk) {
            Some((receipt, index)) => Ok(Placed::Here(Delivery::new(receipt, index))),
            None => self.place_anew(record, desk, spare, may_leave),
        }
    }

    /// The common case: the open batch has room.
    // Inlined, and answered by two values that fit into registers: passed through memory at each level, the answer cost more
    // than encoding the record.
    #[inline(always)]
    pub(crate) fn place_quickly(
        &self,
        record: &Draft<'_>,
        desk: &Desk,
    ) -> Option<(Arc<Receipt>, u32)> {
        let mut open = self.open.lock();
        let Open {
            batch: Some(batch),
            time,
            closed: None,
            ..
        } = &mut *open
        else {
            return None;
        };
        if !batch.has_room(record.size) {
            return None;
        }
        let receipt = batch.receipt.clone();
        let index = batch.append(record, time, desk).ok()?;
        Some((receipt, index))
    }

    /// The open batch, to place many records under one lock.
    pub(crate) fn lock_open<'a>(&'a self, desk: &'a Desk) -> Option<LockedBatch<'a>> {
        let open = self.open.lock();
        let batch = open.batch.as_ref().filter(|_| open.closed.is_none())?;
        let first = batch.builder.count();
        Some(LockedBatch {
            first,
            limit: first.saturating_add(LONGEST_RUN),
            bytes: 0,
            desk,
            open,
        })
    }

    /// The rare case: the batch has to grow, or a new one to be opened.
    #[cold]
    #[inline(never)]
    fn place_anew(
        &self,
        record: &Draft<'_>,
        desk: &Desk,
        spare: &mut Option<Charge>,
        may_leave: bool,
    ) -> Result<Placed> {
        let mut news = false;
        let mut open = self.open.lock();
        let marked = open.batch.as_mut().is_some_and(OpenBatch::passes_mark);
        let placed = open.place(self, record, desk, spare, may_leave, &mut news);
        let much = marked || open.unseen >= UNSEEN;
        if much {
            open.unseen = 0;
        }
        drop(open);
        if much && self.announced.load(Ordering::Acquire) && desk.ready.is_resting() {
            ready::run_elsewhere();
        }
        if news && !self.announced.swap(true, Ordering::AcqRel) {
            desk.ready.announce(self.id);
        }
        placed
    }

    /// The most bytes of a batch of several records.
    fn batch_size(&self) -> usize {
        self.flow.batch_size.min(self.limit.get())
    }

    /// Hands the full batches to the sender; says when the open one was opened.
    pub(crate) fn collect(&self, into: &mut Vec<OpenBatch>) -> Option<Instant> {
        // Before the lock: what is placed after this is announced again.
        self.announced.store(false, Ordering::Release);
        let mut open = self.open.lock();
        into.extend(open.full.drain(..));
        open.unseen = 0;
        open.batch.as_ref().map(|batch| batch.opened)
    }

    /// Hands the oldest batch to the sender, full or not: the open one, as a rule.
    pub(crate) fn take_open(&self) -> Option<OpenBatch> {
        let mut open = self.open.lock();
        // Invariant: batches leave in the order in which they were opened. The one that was open when the sender last looked may
        // have become full since, and another one be open behind it; its caller has announced that, so the rest is collected.
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
    fn place(
        &mut self,
        partition: &Partition,
        record: &Draft<'_>,
        desk: &Desk,
        spare: &mut Option<Charge>,
        may_leave: bool,
        news: &mut bool,
    ) -> Result<Placed> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        if let Some(batch) = &mut self.batch
            && !batch.fits(record.size, batch.limit)
            && !batch.grow(record.size, partition.batch_size(), desk)
        {
            self.end_batch();
            *news = true;
        }
        let batch = match &mut self.batch {
            Some(batch) => batch,
            None if may_leave => return Ok(Placed::Elsewhere),
            none => {
                let wanted = record.size + SLACK + HEADER_LEN;
                let usual = self.last_size.min(partition.batch_size());
                let Some(charge) = charge_for(wanted, usual, desk, spare) else {
                    return Ok(Placed::NeedsMemory(desk.buffers.size_for(wanted)));
                };
                *news = true;
                self.time.refresh();
                let limit = charge.bytes().min(partition.batch_size());
                none.insert(OpenBatch {
                    mark: limit.min(UNSEEN),
                    limit,
                    builder: BatchBuilder::with_buffer(
                        desk.buffers.take(charge.bytes(), desk.budget.used()),
                    ),
                    receipt: Receipt::new(partition.place.clone()),
                    charge,
                    opened: Instant::now(),
                    last_index: partition.flow.batch_records.saturating_sub(1),
                })
            }
        };
        let index = batch.append(record, &mut self.time, desk)?;
        let receipt = batch.receipt.clone();
        if index >= batch.last_index {
            self.end_batch();
            *news = true;
        }
        Ok(Placed::Here(Delivery::new(receipt, index)))
    }

    /// Nothing joins the open batch any more.
    fn end_batch(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.last_size = batch.builder.wire_len();
            self.unseen += self.last_size;
            self.full.push_back(batch);
        }
    }
}

impl OpenBatch {
    #[inline(always)]
    fn append(&mut self, record: &Draft<'_>, time: &mut CoarseTime, desk: &Desk) -> Result<u32> {
        let timestamp = match record.timestamp {
            Some(timestamp) => timestamp,
            None => time.read(desk),
        };
        let builder = &mut self.builder;
        let at = builder.append(timestamp, record.key, record.value, record.headers)?;
        Ok(at.index)
    }

    /// Whether a record can be appended that is not the batch's last.
    #[inline(always)]
    fn has_room(&self, size: usize) -> bool {
        self.fits(size, self.mark) && self.builder.count() < self.last_index
    }

    #[inline(always)]
    fn fits(&self, size: usize, bytes: usize) -> bool {
        self.builder.wire_len() + size + SLACK <= bytes
    }

    /// Whether the batch has come to [`UNSEEN`]; then it goes on to its full size.
    fn passes_mark(&mut self) -> bool {
        let at_mark = self.mark == UNSEEN;
        if at_mark {
            self.mark = self.limit;
        }
        at_mark
    }

    /// Makes room by a larger buffer, up to the batch size and as memory allows.
    fn grow(&mut self, size: usize, batch_size: usize, desk: &Desk) -> bool {
        let wanted = self.builder.wire_len() + size + SLACK;
        // A first record may be as large as it likes, but nothing joins it.
        if wanted > batch_size || !self.charge.try_grow(desk.buffers.size_for(wanted)) {
            return false;
        }
        self.limit = self.charge.bytes().min(batch_size);
        self.mark = match self.limit {
            bytes if self.mark < UNSEEN => bytes.min(UNSEEN),
            bytes => bytes,
        };
        // Into a buffer of that size that was used before. One that grew by itself would not come back among the small ones,
        // and each batch would take a fresh one of these.
        let used = desk.budget.used();
        let larger = desk.buffers.take(self.charge.bytes(), used);
        desk.buffers.give(self.builder.move_into(larger), used);
        true
    }
}

/// Memory for a new batch: as much as the last one needed, or else what this record needs.
fn charge_for(
    wanted: usize,
    last: usize,
    desk: &Desk,
    spare: &mut Option<Charge>,
) -> Option<Charge> {
    if let Some(charge) = spare.take_if(|charge| charge.bytes() >= wanted) {
        return Some(charge);
    }
    let least = desk.buffers.size_for(wanted);
    let usual = desk.buffers.size_for(last);
    if usual > least
        && let Some(charge) = desk.budget.try_take(usual)
    {
        return Some(charge);
    }
    desk.budget.try_take(least)
}

/// The time for records that bring none, read from the wall clock only now and then: a read costs more than encoding.
///
/// Each batch begins with a read. Within it one read serves up to 32 records that come right behind each other, and none that comes
/// after [`Tick`] moved on: that takes a millisecond and the sender's turn, which a caller that computes without awaiting holds back.
#[derive(Debug, Default)]
struct CoarseTime {
    now: Timestamp,
    /// Where [`Tick`] stood at the read.
    hand: u32,
    left: u8,
    stride: u8,
}

impl CoarseTime {
    fn refresh(&mut self) {
        self.left = 0;
    }

    #[inline]
    fn read(&mut self, desk: &Desk) -> Timestamp {
        if self.left > 0 && self.hand == desk.tick.hand() {
            self.left -= 1;
            return self.now;
        }
        self.look(desk)
    }

    fn look(&mut self, desk: &Desk) -> Timestamp {
        // Before the clock: where the hand moves in between, the next record reads again.
        self.hand = desk.tick.hand();
        let now = (desk.clock)();
        let quick = now.to_millis().saturating_sub(self.now.to_millis()) <= 1;
        self.stride = if quick {
            (self.stride * 2 + 1).min(31)
        } else {
            0
        };
        self.left = self.stride;
        self.now = now;
        if self.left > 0 && desk.tick.want() {
            desk.ready.ring();
        }
        now
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
