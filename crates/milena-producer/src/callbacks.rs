//! The callbacks that receive the outcomes of records, in the order of each partition and away from
//! the sender's task.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use milena_core::{RecordMetadata, Result, TopicPartition};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::delivery::Delivery;

/// A function that is called once with a record's outcome.
pub(crate) type Callback = Box<dyn FnOnce(Result<RecordMetadata>) + Send>;

/// The callbacks that have not been called yet. Each partition that has had one runs them on a task
/// of its own, its lane.
pub(crate) struct Callbacks {
    /// The permits for waiting callbacks, `MOST` in all. A callback holds one until it has ended.
    permits: Arc<Semaphore>,
    /// The channel to each partition's lane. Entries are never removed.
    lanes: Mutex<HashMap<TopicPartition, mpsc::UnboundedSender<PendingCallback>>>,
}

/// A callback that waits for its record's outcome.
struct PendingCallback {
    /// The record's outcome.
    delivery: Delivery,
    /// The function to call with it.
    callback: Callback,
    /// The permit, which returns when the callback has ended.
    _permit: OwnedSemaphorePermit,
}

/// The most callbacks that wait. Beyond it enqueueing waits for one to end.
///
/// Without a bound, records that fail faster than callbacks run would pile up, since they hold no
/// buffer any more.
const MOST: u32 = 1 << 16;

impl Callbacks {
    pub(crate) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MOST as usize)),
            lanes: Mutex::default(),
        }
    }

    /// Waits for a permit for one callback.
    pub(crate) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_owned().await.ok()
    }

    /// Locks the lanes for one caller. It places its record and adds the callback under this lock,
    /// so that the callbacks of a partition have the order of its records.
    pub(crate) fn lanes(&self) -> Lanes<'_> {
        Lanes(self.lanes.lock())
    }

    /// Waits until all callbacks added so far have ended.
    pub(crate) async fn idle(&self) {
        drop(self.permits.acquire_many(MOST).await);
    }
}

/// The lanes of all partitions, locked by one caller.
pub(crate) struct Lanes<'a>(
    MutexGuard<'a, HashMap<TopicPartition, mpsc::UnboundedSender<PendingCallback>>>,
);

impl Lanes<'_> {
    /// Adds `callback`, which is called with the outcome after the callbacks of the partition's
    /// earlier records.
    pub(crate) fn add(
        &mut self,
        runtime: &Handle,
        delivery: Delivery,
        permit: OwnedSemaphorePermit,
        callback: Callback,
    ) {
        let waiting = PendingCallback {
            callback,
            _permit: permit,
            delivery,
        };
        let place = waiting.delivery.partition().clone();
        let lane = self.0.entry(place).or_insert_with(|| start(runtime));
        // A lane ends only with its runtime, and no callback is called after that. A new lane is
        // started for the case that a task was cut off alone.
        if let Err(gone) = lane.send(waiting) {
            let place = gone.0.delivery.partition().clone();
            let lane = self.0.entry(place).insert_entry(start(runtime));
            drop(lane.get().send(gone.0));
        }
    }
}

/// Starts a lane. It ends when the producer is dropped and all its callbacks have been called.
fn start(runtime: &Handle) -> mpsc::UnboundedSender<PendingCallback> {
    let (lane, mut waiting) = mpsc::unbounded_channel::<PendingCallback>();
    runtime.spawn(async move {
        while let Some(next) = waiting.recv().await {
            let outcome = next.delivery.await;
            if catch_unwind(AssertUnwindSafe(|| (next.callback)(outcome))).is_err() {
                tracing::error!("a delivery callback panicked");
            }
        }
    });
    lane
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.permits.available_permits();
        f.debug_struct("Callbacks")
            .field("waiting", &(MOST as usize).saturating_sub(free))
            .finish_non_exhaustive()
    }
}
