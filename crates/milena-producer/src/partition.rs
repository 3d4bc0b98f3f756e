//! One partition on the callers' side: records are encoded straight into its open batch, under one short lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Error, HeadersRef, Result, Timestamp, TopicPartition};
use milena_protocol::batch::{BatchBuilder, HEADER_LEN};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::delivery::{Delivery, Receipt};
use crate::memory::{Budget, Buffers, Charge};
use crate::ready::Ready;

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
    /// The most bytes of an uncompressed batch of more than one record, header included.
    pub(crate) batch_size: usize,
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
    announced: AtomicBool,
    open: Mutex<Open>,
}

struct Open {
    batch: Option<OpenBatch>,
    full: VecDeque<OpenBatch>,
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
}

/// What the encoder reserves beyond a record's own bytes.
const SLACK: usize = 32;

impl Partition {
    pub(crate) fn new(place: TopicPartition, id: u32) -> Self {
        Self {
            place: Arc::new(place),
            id,
            announced: AtomicBool::new(false),
            open: Mutex::new(Open {
                batch: None,
                full: VecDeque::new(),
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
        let placed = open.place(self, record, desk, spare, may_leave, &mut news);
        drop(open);
        if news && !self.announced.swap(true, Ordering::AcqRel) {
            desk.ready.announce(self.id);
        }
        placed
    }

    /// Hands the full batches to the sender; says when the open one was opened.
    pub(crate) fn collect(&self, into: &mut Vec<OpenBatch>) -> Option<Instant> {
        // Before the lock: what is placed after this is announced again.
        self.announced.store(false, Ordering::Release);
        let mut open = self.open.lock();
        into.extend(open.full.drain(..));
        open.batch.as_ref().map(|batch| batch.opened)
    }

    /// Hands the open batch to the sender, full or not.
    pub(crate) fn take_open(&self) -> Option<OpenBatch> {
        let mut open = self.open.lock();
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
            && !batch.has_room(record.size)
            && !batch.grow(record.size, desk)
        {
            self.last_size = batch.builder.wire_len();
            self.full.extend(self.batch.take());
            *news = true;
        }
        let batch = match &mut self.batch {
            Some(batch) => batch,
            None if may_leave => return Ok(Placed::Elsewhere),
            none => {
                let wanted = record.size + SLACK + HEADER_LEN;
                let Some(charge) = charge_for(wanted, self.last_size, desk, spare) else {
                    return Ok(Placed::NeedsMemory(desk.buffers.size_for(wanted)));
                };
                *news = true;
                self.time.refresh();
                none.insert(OpenBatch {
                    builder: BatchBuilder::with_buffer(desk.buffers.take(charge.bytes())),
                    receipt: Receipt::new(partition.place.clone()),
                    charge,
                    opened: Instant::now(),
                })
            }
        };
        let index = batch.append(record, &mut self.time, desk)?;
        let receipt = batch.receipt.clone();
        Ok(Placed::Here(Delivery::new(receipt, index)))
    }
}

impl OpenBatch {
    #[inline(always)]
    fn append(&mut self, record: &Draft<'_>, time: &mut CoarseTime, desk: &Desk) -> Result<u32> {
        let timestamp = match record.timestamp {
            Some(timestamp) => timestamp,
            None => time.read(&*desk.clock),
        };
        let builder = &mut self.builder;
        let at = builder.append(timestamp, record.key, record.value, record.headers)?;
        Ok(at.index)
    }

    #[inline(always)]
    fn has_room(&self, size: usize) -> bool {
        self.builder.wire_len() + size + SLACK <= self.charge.bytes()
    }

    /// Makes room by a larger buffer, up to the batch size and as memory allows.
    fn grow(&mut self, size: usize, desk: &Desk) -> bool {
        let wanted = self.builder.wire_len() + size + SLACK;
        // A first record may be as large as it likes, but nothing joins it.
        wanted <= desk.batch_size && self.charge.try_grow(desk.buffers.size_for(wanted))
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
    let usual = desk.buffers.size_for(last.min(desk.batch_size));
    if usual > least
        && let Some(charge) = desk.budget.try_take(usual)
    {
        return Some(charge);
    }
    desk.budget.try_take(least)
}

/// The time for records that bring none, read from the wall clock only now and then: a read costs more than encoding.
///
/// Each batch begins with a read; within it one read serves up to 32 records, as long as they come within a millisecond.
#[derive(Debug, Default)]
struct CoarseTime {
    now: Timestamp,
    left: u8,
    stride: u8,
}

impl CoarseTime {
    fn refresh(&mut self) {
        self.left = 0;
    }

    #[inline]
    fn read(&mut self, clock: &(dyn Fn() -> Timestamp + Send + Sync)) -> Timestamp {
        if self.left > 0 {
            self.left -= 1;
            return self.now;
        }
        let now = clock();
        let quick = now.to_millis().saturating_sub(self.now.to_millis()) <= 1;
        self.stride = if quick {
            (self.stride * 2 + 1).min(31)
        } else {
            0
        };
        self.left = self.stride;
        self.now = now;
        now
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
