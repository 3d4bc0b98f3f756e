//! One partition: its log, its leader, its producers, and the fetches that wait for more.

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

/// A partition; shared by all brokers of the cluster, served by its leader.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    state: Mutex<State>,
    waiting: Mutex<Vec<Arc<Notify>>>,
}

/// What the partition's lock guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Replicas,
    pub(crate) deleted: bool,
    pub(crate) log: Log,
    pub(crate) producers: Producers,
    pub(crate) transactions: Transactions,
    /// The replica that consumers with a rack are sent to, whether there is such a broker or not.
    pub(crate) named_replica: Option<i32>,
}

/// How an append is to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppendPolicy {
    /// The time to write into the batch, where the topic asks for that.
    pub(crate) append_time: Option<Timestamp>,
    pub(crate) retention_bytes: Option<usize>,
}

/// Where a batch is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) base_offset: i64,
    /// The append time; -1 where the batch keeps the writer's.
    pub(crate) append_time: i64,
    pub(crate) log_start: i64,
    /// The offset behind it.
    pub(crate) end: i64,
    /// Whether every replica in sync has it.
    pub(crate) committed: bool,
}

impl Partition {
    pub(crate) fn new(index: i32, replicas: Vec<i32>) -> Self {
        Self {
            index,
            state: Mutex::new(State {
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Appends a checked batch as the leader `node`, or finds it there already.
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

    /// Wakes every fetch that waits here.
    pub(crate) fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for each in waiting {
            each.notify_one();
        }
    }

    /// Lets `waiter` know of the next change; once.
    pub(crate) fn watch(&self, waiter: &Arc<Notify>) {
        let mut waiting = self.waiting.lock();
        if !waiting.iter().any(|known| Arc::ptr_eq(known, waiter)) {
            waiting.push(Arc::clone(waiter));
        }
    }

    pub(crate) fn unwatch(&self, waiter: &Arc<Notify>) {
        self.waiting
            .lock()
            .retain(|known| !Arc::ptr_eq(known, waiter));
    }
}

impl State {
    /// Whether `node` may answer for the partition, asked under the epoch that the client knows (-1: none).
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

    /// Changes the leader, one epoch later. What the new leader lacks is lost.
    pub(crate) fn elect(&mut self, leader: Option<i32>) {
        self.leader = leader;
        self.leader_epoch += 1;
        let Some(leader) = leader else { return };
        let end = self.replicas.promote(leader, self.log.end());
        if end < self.log.end() {
            self.log.truncate(end);
            self.producers = producers_of(&self.log);
            self.transactions = Transactions::of(&self.log);
        }
    }

    /// Whether the replicas in sync have everything below `end`, which `node` appended as the leader; `None` while they have not.
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

    /// The first offset that not every replica in sync has.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.replicas.committed(self.log.end())
    }

    /// The first offset of a transaction still open; without transactions the high watermark.
    pub(crate) fn last_stable_offset(&self) -> i64 {
        self.transactions.stable_end(self.high_watermark())
    }

    /// Appends a batch and notes what it says of transactions; gives its base offset.
    pub(crate) fn append(&mut self, batch: StoredBatch) -> i64 {
        let base = self.log.append(batch, self.leader_epoch);
        if let Some(appended) = self.log.batches().next_back() {
            self.transactions.note(appended);
        }
        base
    }
}

/// What a leader knows of producers once it has read its log.
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
