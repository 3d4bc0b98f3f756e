//! The end of a partition. Dispatch stops, lanes drain, and after the fence nothing counts any
//! more.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_core::CancelToken;
use tokio::task::AbortHandle;

use super::Partition;

impl Partition {
    /// Stops dispatch. No more records go to handlers.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
        self.readable.notify_waiters();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until dispatch has stopped.
    pub(crate) async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Returns true if a lane is at work.
    pub(crate) fn is_worked_on(&self) -> bool {
        *self.lanes.borrow() > 0
    }

    /// Waits until no lane is at work.
    pub(crate) async fn drained(&self) {
        let mut lanes = self.lanes.subscribe();
        // Cannot fail, since the sender lives as long as `self`.
        let _ = lanes.wait_for(|count| *count == 0).await;
    }

    /// Fences the partition, after which nothing counts. Cancels handlers, aborts lanes, and drops
    /// the fetched batches.
    ///
    /// Returns true if records were done or handed out whose offsets were not committed. A further
    /// call returns false.
    pub(crate) fn fence(&self) -> bool {
        self.stop();
        let before = self.fenced.swap(true, Ordering::AcqRel);
        self.cancel.cancel();
        let mut state = self.state.lock();
        let is_ahead = !before && state.is_ahead_of_commits();
        state.drop_fetched();
        drop(state);
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        is_ahead
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }

    pub(crate) fn stopping_token(&self) -> &CancelToken {
        &self.stopping
    }

    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// Notes that a lane begins to work. It counts until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> LaneGuard {
        self.lanes.send_modify(|count| *count += 1);
        LaneGuard(Arc::clone(self))
    }

    /// Takes over a task of a lane, to abort it when the partition is fenced.
    pub(crate) fn own_task(&self, task: AbortHandle) {
        self.tasks.lock().push(task);
    }
}

/// Guard that counts a lane as working.
pub(crate) struct LaneGuard(Arc<Partition>);

impl Drop for LaneGuard {
    fn drop(&mut self) {
        self.0.lanes.send_modify(|count| *count -= 1);
    }
}
