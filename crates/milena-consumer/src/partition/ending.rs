//! The end of a partition. Dispatch stops, lanes drain, and after the fence nothing counts any
//! more.

use std::sync::atomic::Ordering;

use milena_lanes::Dispatch;

use super::Partition;

impl Partition {
    /// Returns the state of the lanes.
    pub(crate) fn dispatch(&self) -> &Dispatch {
        &self.dispatch
    }

    /// Stops dispatch. No more records go to handlers.
    pub(crate) fn stop(&self) {
        self.dispatch.stop();
        self.readable.notify_waiters();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.dispatch.is_stopping()
    }

    /// Returns true if a lane is at work.
    pub(crate) fn is_worked_on(&self) -> bool {
        self.dispatch.is_worked_on()
    }

    /// Waits until no lane is at work.
    pub(crate) async fn drained(&self) {
        self.dispatch.drained().await;
    }

    /// Fences the partition, after which nothing counts. Cancels handlers, aborts lanes, and drops
    /// the fetched batches.
    ///
    /// Returns true if records were done or handed out whose offsets were not committed. A further
    /// call returns false.
    pub(crate) fn fence(&self) -> bool {
        self.stop();
        let before = self.fenced.swap(true, Ordering::AcqRel);
        let mut state = self.state.lock();
        let is_ahead = !before && state.is_ahead_of_commits();
        state.drop_fetched();
        drop(state);
        self.dispatch.cut_off();
        is_ahead
    }

    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.load(Ordering::Acquire)
    }
}
