//! The channel by which callers tell the sender that a partition has a new batch. It carries one
//! message per batch, never one per record.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

/// Lets another thread run the sender if it would come next on this one. A task that does not await
/// would keep it waiting.
pub(crate) fn run_elsewhere() {
    if let Ok(runtime) = Handle::try_current()
        && runtime.runtime_flavor() == RuntimeFlavor::MultiThread
    {
        // tokio keeps the most recently woken task in the worker's LIFO slot, where no other worker
        // can steal it. The empty task takes that slot, and the sender moves to the run queue,
        // where it can be stolen.
        runtime.spawn(async {});
    }
}

/// The partitions with something new, and the signal that wakes the sender.
#[derive(Default)]
pub(crate) struct Bell {
    /// The ids of announced partitions. Callers add, and the sender takes all.
    ids: Mutex<Vec<u32>>,
    /// True once no caller is left. Never reset.
    abandoned: AtomicBool,
    /// True while the sender waits for an event, or for its turn after one came.
    resting: AtomicBool,
    /// True if a caller found the buffer full since the sender last looked.
    hurried: AtomicBool,
    /// Wakes the sender. A ring before it waits is kept.
    woken: Notify,
}

impl Bell {
    /// Announces that the partition of this id has a new batch, and wakes the sender.
    pub(crate) fn announce(&self, id: u32) {
        self.ids.lock().push(id);
        self.ring();
    }

    /// Wakes the sender to look at everything.
    pub(crate) fn ring(&self) {
        self.woken.notify_one();
    }

    /// Makes the batches that are open now leave without lingering, since a caller found the buffer
    /// full.
    pub(crate) fn hurry(&self) {
        self.hurried.store(true, Ordering::Release);
        self.ring();
    }

    /// Returns true if [`hurry`](Self::hurry) was called since the last call of this.
    pub(crate) fn takes_hurry(&self) -> bool {
        self.hurried.load(Ordering::Acquire) && self.hurried.swap(false, Ordering::AcqRel)
    }

    /// Waits for [`ring`](Self::ring). A ring before this call counts.
    pub(crate) async fn rung(&self) {
        self.woken.notified().await;
    }

    /// Notes whether the sender rests or is at work.
    pub(crate) fn rests(&self, yes: bool) {
        self.resting.store(yes, Ordering::Release);
    }

    /// Returns true if the sender rests. Once rung for, it then waits for its turn to run.
    pub(crate) fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Acquire)
    }

    /// Moves the ids of announced partitions into `ids`.
    pub(crate) fn drain(&self, ids: &mut Vec<u32>) {
        ids.append(&mut self.ids.lock());
    }

    /// Tells the sender that no caller is left.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.ring();
    }

    /// Returns true if no caller is left.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Acquire)
    }

    /// Locks the list of announced partitions, as a caller does for the time of an announcement.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> parking_lot::MutexGuard<'_, Vec<u32>> {
        self.ids.lock()
    }
}
