//! One partition, with its log, its leader, its producers, and the fetches that wait for more.

use std::sync::Arc;

use bytes::BytesMut;
use milena_core::{ErrorCode, Timestamp};
use milena_protocol::batch::{BatchHeader, rewrite};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::log::{Log, StoredBatch};
use crate::producers::{Producers, Stamp, Verdict};
use crate::replicas::Replicas;
use crate::transactions::Transactions;
use crate::validate::{Checked, Refusal};

/// A partition. All brokers of the cluster share it, and its leader serves it.
#[derive(Debug)]
pub(crate) struct Partition {
    /// The partition's number.
    pub(crate) index: i32,
    /// The state. The lock is never held while waiting.
    state: Mutex<PartitionState>,
    /// The waiters to notify at the next change. Each is removed when it is notified.
    waiting: Mutex<Vec<Arc<Notify>>>,
}

/// The state of a partition, behind its lock.
#[derive(Debug)]
pub(crate) struct PartitionState {
    /// The leader's node id. `None` while no replica can lead.
    pub(crate) leader: Option<i32>,
    /// The leader epoch. Grows by one with each election.
    pub(crate) leader_epoch: i32,
    /// The replicas, and those in sync.
    pub(crate) replicas: Replicas,
    /// True once the topic was deleted. Requests that still hold the partition are refused then.
    pub(crate) deleted: bool,
    /// The log.
    pub(crate) log: Log,
    /// The producers' sequence windows. They follow from the log.
    pub(crate) producers: Producers,
    /// The open and aborted transactions. They follow from the log.
    pub(crate) transactions: Transactions,
    /// The replica that consumers with a rack are sent to, set by a test. There may be no such
    /// broker. `None` follows the racks.
    pub(crate) named_replica: Option<i32>,
}

/// The rules of an append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppendPolicy {
    /// The time to write into the batch. `None` if the topic keeps its producers' times.
    pub(crate) append_time: Option<Timestamp>,
    /// The size in bytes to trim the log to. `None` keeps everything.
    pub(crate) retention_bytes: Option<usize>,
}

/// The place of an appended batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    /// The offset of its first record.
    pub(crate) base_offset: i64,
    /// The append time, or -1 if the batch keeps its producer's times.
    pub(crate) append_time: i64,
    /// The first offset of the log.
    pub(crate) log_start: i64,
    /// The offset after its last record.
    pub(crate) end: i64,
    /// True if every replica in sync has it.
    pub(crate) committed: bool,
}

impl Partition {
    /// Makes an empty partition, led by the first replica.
    pub(crate) fn new(index: i32, replicas: Vec<i32>) -> Self {
        Self {
            index,
            state: Mutex::new(PartitionState {
                leader: replicas.first().copied(),
                leader_epoch: 0,
                replicas: Replicas::new(replicas),
                deleted: false,
                log: Log::default(),
                producers: Producers::default(),
                transactions: Transactions::default(),
                named_replica: None,
            }),
            waiting: Mutex::default(),
        }
    }

    /// Locks the state.
    pub(crate) fn lock(&self) -> MutexGuard<'_, PartitionState> {
        self.state.lock()
    }

    /// Appends a checked batch as the leader `node`. A duplicate is not appended again, and its
    /// first place is returned.
    pub(crate) fn append(
        &self,
        node: i32,
        batch: &Checked,
        policy: AppendPolicy,
    ) -> Result<Appended, Refusal> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.led_by(node, -1)?;
        if let Some(stamp) = batch.stamp {
            match state.producers.check(stamp) {
                Verdict::Append => {}
                Verdict::Duplicate {
                    base_offset,
                    append_time,
                } => {
                    let end = base_offset + i64::from(batch.header.count);
                    return Ok(Appended {
                        base_offset,
                        append_time,
                        log_start: state.log.start(),
                        end,
                        committed: state.high_watermark() >= end,
                    });
                }
                Verdict::Refuse(code) => {
                    return Err((code, "the producer's epoch or sequence is not the next"));
                }
            }
        }
        let (stored, append_time) = stored(batch, policy.append_time)
            .ok_or((ErrorCode::CORRUPT_MESSAGE, "the batch is cut short"))?;
        let base_offset = state.append(stored);
        if let Some(stamp) = batch.stamp {
            state.producers.note(stamp, base_offset, append_time);
        }
        if let Some(keep) = policy.retention_bytes {
            state.log.retain(keep);
        }
        let (log_start, end) = (state.log.start(), state.log.end());
        let committed = state.high_watermark() >= end;
        drop(guard);
        self.wake();
        Ok(Appended {
            base_offset,
            append_time,
            log_start,
            end,
            committed,
        })
    }

    /// Wakes all waiters.
    pub(crate) fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for each in waiting {
            each.notify_one();
        }
    }

    /// Notifies `waiter` of the next change, once.
    pub(crate) fn watch(&self, waiter: &Arc<Notify>) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|known| Arc::ptr_eq(known, waiter)) {
            waiting.push(Arc::clone(waiter));
        }
    }

    /// Removes a waiter.
    pub(crate) fn unwatch(&self, waiter: &Arc<Notify>) {
        self.waiting
            .lock()
            .retain(|known| !Arc::ptr_eq(known, waiter));
    }
}

impl PartitionState {
    /// Checks that `node` leads the partition. `known_epoch` is the leader epoch that the client
    /// knows, or -1 for none.
    pub(crate) fn led_by(&self, node: i32, known_epoch: i32) -> Result<(), Refusal> {
        if self.deleted {
            return Err((
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                "the topic was deleted",
            ));
        }
        if known_epoch >= 0 && known_epoch < self.leader_epoch {
            return Err((
                ErrorCode::FENCED_LEADER_EPOCH,
                "the leader epoch is an older one",
            ));
        }
        if known_epoch > self.leader_epoch {
            return Err((
                ErrorCode::UNKNOWN_LEADER_EPOCH,
                "the leader epoch is not known yet",
            ));
        }
        if self.leader != Some(node) {
            return Err((
                ErrorCode::NOT_LEADER_OR_FOLLOWER,
                "another broker leads the partition",
            ));
        }
        Ok(())
    }

    /// Changes the leader, one epoch later. Records that the new leader lacks are lost.
    pub(crate) fn elect(&mut self, leader: Option<i32>) {
        self.leader = leader;
        self.leader_epoch += 1;
        let Some(leader) = leader else { return };
        let end = self.replicas.promote(leader, self.log.end());
        if end < self.log.end() {
            self.log.truncate(end);
            // The new leader knows only what is in its log, so both are read from it again.
            self.producers = producers_of(&self.log);
            self.transactions = Transactions::of(&self.log);
        }
    }

    /// Returns the result once the replicas in sync have everything below `end`, which `node`
    /// appended as the leader. Returns `None` while they do not.
    pub(crate) fn replicated(
        &self,
        node: i32,
        end: i64,
        min_in_sync: usize,
    ) -> Option<Result<(), Refusal>> {
        if let Err(refusal) = self.led_by(node, -1) {
            return Some(Err(refusal));
        }
        if self.high_watermark() < end {
            return None;
        }
        if self.replicas.in_sync().len() < min_in_sync {
            return Some(Err((
                ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
                "fewer replicas were in sync after the append than min.insync.replicas",
            )));
        }
        Some(Ok(()))
    }

    /// Returns the first offset that not every replica in sync has.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.replicas.committed(self.log.end())
    }

    /// Returns the first offset of an open transaction, or the high watermark without one.
    pub(crate) fn last_stable_offset(&self) -> i64 {
        self.transactions.stable_end(self.high_watermark())
    }

    /// Appends a batch, and updates the transactions. Returns its base offset.
    pub(crate) fn append(&mut self, batch: StoredBatch) -> i64 {
        let base = self.log.append(batch, self.leader_epoch);
        if let Some(appended) = self.log.batches().next_back() {
            self.transactions.note(appended);
        }
        base
    }
}

/// Returns the producers' state that follows from a log.
fn producers_of(log: &Log) -> Producers {
    let mut producers = Producers::default();
    for batch in log.batches() {
        let stamp = batch.parsed().and_then(|header| Stamp::of(&header));
        if let Some(stamp) = stamp {
            producers.note(stamp, batch.base_offset, batch.append_time());
        }
    }
    producers
}

/// Returns the batch to store and its append time. Rewrites the timestamps or their type as the
/// topic demands.
fn stored(batch: &Checked, append_time: Option<Timestamp>) -> Option<(StoredBatch, i64)> {
    let Some(time) = append_time else {
        if batch.claims_append_time() {
            let mut whole = batch.bytes.to_vec();
            rewrite::keep_create_time(&mut whole).ok()?;
            let header = BatchHeader::parse(&whole).ok()?;
            return Some((StoredBatch::split(&header, &whole.into())?, -1));
        }
        return Some((batch.stored()?, -1));
    };
    let mut whole = BytesMut::from(&batch.bytes[..]);
    rewrite::stamp_append_time(&mut whole, time).ok()?;
    let mut header = batch.header;
    header.max_timestamp = time.to_millis();
    let stored = StoredBatch::split(&header, &whole.freeze())?;
    Some((stored, time.to_millis()))
}
