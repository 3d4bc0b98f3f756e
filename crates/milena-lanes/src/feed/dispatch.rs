//! The lanes of one feed from outside. Dispatch stops, lanes drain, and those that do not are cut
//! off.

use milena_core::{CancelToken, Offset};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::at_work::{LaneAtWork, LaneSnapshot, Workers};

/// The state of the lanes of one feed. The feed owns it, and its lanes report to it.
#[derive(Debug)]
pub struct Dispatch {
    /// Cancelled when no more records are to go to handlers. Handlers may finish the records that
    /// they have.
    stopping: CancelToken,
    /// Handed to handlers. Cancelled when the lanes are cut off, so that handlers stop.
    cancel: CancelToken,
    /// The number of lanes at work. The lanes count themselves.
    lanes: watch::Sender<usize>,
    /// The tasks of the lanes. Aborted and removed when the lanes are cut off.
    tasks: Mutex<Vec<AbortHandle>>,
    /// The record and the phase of each lane, for gauges.
    workers: Workers,
}

impl Dispatch {
    /// Returns a dispatch without lanes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stopping: CancelToken::new(),
            cancel: CancelToken::new(),
            lanes: watch::Sender::new(0),
            tasks: Mutex::default(),
            workers: Workers::default(),
        }
    }

    /// Stops dispatch. No more records go to handlers.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Returns true once dispatch has stopped.
    #[must_use]
    #[inline]
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Waits until dispatch has stopped.
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Returns true if a lane is at work.
    #[must_use]
    pub fn is_worked_on(&self) -> bool {
        *self.lanes.borrow() > 0
    }

    /// Waits until no lane is at work.
    pub async fn drained(&self) {
        let mut lanes = self.lanes.subscribe();
        // Cannot fail, since the sender lives as long as `self`.
        let _ = lanes.wait_for(|count| *count == 0).await;
    }

    /// Stops dispatch, cancels handlers and aborts the lanes.
    pub fn cut_off(&self) {
        self.stop();
        self.cancel.cancel();
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }

    /// Returns the lane that has the record at `offset`, and the number of lanes that have other
    /// records.
    #[must_use]
    pub fn lane_on(&self, offset: Offset) -> (Option<LaneSnapshot>, usize) {
        self.workers.on(offset)
    }

    /// Returns the token that is cancelled when dispatch stops.
    #[inline]
    pub(crate) fn stopping_token(&self) -> &CancelToken {
        &self.stopping
    }

    /// Returns the token that is cancelled when the lanes are cut off.
    #[inline]
    pub(crate) fn cancel_token(&self) -> &CancelToken {
        &self.cancel
    }

    /// Counts one more lane at work.
    pub(crate) fn enter(&self) {
        self.lanes.send_modify(|count| *count += 1);
    }

    /// Counts one lane less at work.
    pub(crate) fn leave(&self) {
        self.lanes.send_modify(|count| *count -= 1);
    }

    /// Takes over a task of a lane, to abort it when the lanes are cut off.
    pub(crate) fn own_task(&self, task: AbortHandle) {
        let mut tasks = self.tasks.lock();
        // The lanes may have been cut off since the task was spawned.
        if self.cancel.is_cancelled() {
            task.abort();
        } else {
            tasks.push(task);
        }
    }

    /// Registers a lane, so that gauges can show its record.
    pub(crate) fn lane_at_work(&self) -> LaneAtWork {
        self.workers.enter()
    }
}

impl Default for Dispatch {
    fn default() -> Self {
        Self::new()
    }
}
