//! How a partition ends: dispatch stops, lanes drain, and what is left no longer counts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use milena_core::CancelToken;
use tokio::task::AbortHandle;

use super::Partition;

impl Partition {
    /// No record is dispatched from now on.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
        self.readable.notify_waiters();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Resolves once no record is dispatched any more.
    pub(crate) async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Whether a lane works on it.
    pub(crate) fn is_worked_on(&self) -> bool {
        *self.lanes.borrow() > 0
    }

    /// Waits until no lane works on it.
    pub(crate) async fn drained(&self) {
        let mut lanes = self.lanes.subscribe();
        // The sender lives as long as this partition.
        let _ = lanes.wait_for(|count| *count == 0).await;
    }

    /// Nothing of it counts any more: handlers are told, their lanes ended, what was fetched is let go.
    ///
    /// Returns whether records of it were done, or given out, whose offsets were not committed.
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

    /// A lane begins to work; it counts until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> LaneGuard {
        self.lanes.send_modify(|count| *count += 1);
        LaneGuard(Arc::clone(self))
    }

    pub(crate) fn own_task(&self, task: AbortHandle) {
        self.tasks.lock().push(task);
    }
}

/// Counts a lane as working.
pub(crate) struct LaneGuard(Arc<Partition>);

impl Drop for LaneGuard {
    fn drop(&mut self) {
        self.0.lanes.send_modify(|count| *count -= 1);
    }
}
