//! One partition: its log, its leader, its producers, and the fetches that wait for more.

use std::sync::Arc;

use bytes::BytesMut;
use milena_core::{ErrorCode, Timestamp};
use milena_protocol::batch::rewrite;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::log::{Log, StoredBatch};
use crate::producers::{Producers, Verdict};
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
    pub(crate) replicas: Vec<i32>,
    pub(crate) deleted: bool,
    pub(crate) log: Log,
    pub(crate) producers: Producers,
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
}

impl Partition {
    pub(crate) fn new(index: i32, replicas: Vec<i32>) -> Self {
        Self {
            index,
            state: Mutex::new(State {
                leader: replicas.first().copied(),
                leader_epoch: 0,
                replicas,
                deleted: false,
                log: Log::default(),
                producers: Producers::default(),
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
                    return Ok(Appended {
                        base_offset,
                        append_time,
                        log_start: state.log.start(),
                    });
                }
                Verdict::Refuse(code) => {
                    return Err((code, "the producer's epoch or sequence is not the next"));
                }
            }
        }
        let (stored, append_time) = stored(batch, policy.append_time)
            .ok_or((ErrorCode::CORRUPT_MESSAGE, "the batch is cut short"))?;
        let base_offset = state.log.append(stored, state.leader_epoch);
        if let Some(stamp) = batch.stamp {
            state.producers.note(stamp, base_offset, append_time);
        }
        if let Some(keep) = policy.retention_bytes {
            state.log.retain(keep);
        }
        let log_start = state.log.start();
        drop(guard);
        self.wake();
        Ok(Appended {
            base_offset,
            append_time,
            log_start,
        })
    }

    /// Makes `node` the leader, one epoch later.
    pub(crate) fn elect(&self, leader: Option<i32>) {
        let mut state = self.state.lock();
        state.leader = leader;
        state.leader_epoch += 1;
        drop(state);
        self.wake();
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

    /// The first offset behind all committed records; all appended ones are.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.log.end()
    }

    /// The first offset of a transaction still open; without transactions the high watermark.
    pub(crate) fn last_stable_offset(&self) -> i64 {
        self.log.end()
    }
}

fn stored(batch: &Checked, append_time: Option<Timestamp>) -> Option<(StoredBatch, i64)> {
    let Some(time) = append_time else {
        return Some((batch.stored()?, -1));
    };
    let mut whole = BytesMut::from(&batch.bytes[..]);
    rewrite::stamp_append_time(&mut whole, time).ok()?;
    let mut header = batch.header;
    header.max_timestamp = time.to_millis();
    let stored = StoredBatch::split(&header, &whole.freeze())?;
    Some((stored, time.to_millis()))
}
