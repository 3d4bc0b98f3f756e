//! Callbacks: told a record's outcome, in the order of its partition, away from the sender.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use milena_core::{RecordMetadata, Result, TopicPartition};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::delivery::Delivery;

/// What is called with a record's outcome.
pub(crate) type Callback = Box<dyn FnOnce(Result<RecordMetadata>) + Send>;

/// The callbacks that were not called yet: one task for each partition that has any.
pub(crate) struct Callbacks {
    permits: Arc<Semaphore>,
    lanes: Mutex<HashMap<TopicPartition, mpsc::UnboundedSender<Waiting>>>,
}

struct Waiting {
    delivery: Delivery,
    callback: Callback,
    _permit: OwnedSemaphorePermit,
}

/// So many callbacks wait at most; then enqueueing waits for one to end.
///
/// Without a bound, records that fail faster than callbacks run would pile up, since they hold no buffer any more.
const MOST: u32 = 1 << 16;

impl Callbacks {
    pub(crate) fn new() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MOST as usize)),
            lanes: Mutex::default(),
        }
    }

    /// Waits for room for a callback.
    pub(crate) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.permits.clone().acquire_owned().await.ok()
    }

    /// The lanes, for one caller at a time: it places its record and adds the callback in one step, so that the callbacks of a
    /// partition have the order of its records.
    pub(crate) fn lanes(&self) -> Lanes<'_> {
        Lanes(self.lanes.lock())
    }

    /// Waits until all callbacks added so far have ended.
    pub(crate) async fn idle(&self) {
        drop(self.permits.acquire_many(MOST).await);
    }
}

/// The lanes of all partitions, held by one caller.
pub(crate) struct Lanes<'a>(
    MutexGuard<'a, HashMap<TopicPartition, mpsc::UnboundedSender<Waiting>>>,
);

impl Lanes<'_> {
    /// Calls `callback` when the outcome is known, after those of earlier records of the partition.
    pub(crate) fn add(
        &mut self,
        runtime: &Handle,
        delivery: Delivery,
        permit: OwnedSemaphorePermit,
        callback: Callback,
    ) {
        let waiting = Waiting {
            callback,
            _permit: permit,
            delivery,
        };
        let place = waiting.delivery.partition().clone();
        let lane = self.0.entry(place).or_insert_with(|| start(runtime));
        // A lane ends with its runtime only: then nothing is called any more.
        if let Err(gone) = lane.send(waiting) {
            let place = gone.0.delivery.partition().clone();
            let lane = self.0.entry(place).insert_entry(start(runtime));
            drop(lane.get().send(gone.0));
        }
    }
}

/// Starts a lane: it ends when the producer is dropped and all its callbacks were called.
fn start(runtime: &Handle) -> mpsc::UnboundedSender<Waiting> {
    let (lane, mut waiting) = mpsc::unbounded_channel::<Waiting>();
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
