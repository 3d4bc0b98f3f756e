//! State of commits that the commit task, the group's task and the program share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Offset, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use crate::commit::later::Later;

/// The commits of one consumer.
pub(crate) struct Commits {
    /// Has one permit, held during a commit. Commits therefore go out one at a time, so that an
    /// older offset never overtakes a newer one.
    turns: Semaphore,
    /// Asynchronous commits that the commit task sends before its next interval.
    later: Later,
    /// True once a handler runs, unless `manual_commit` is set. The commit task then commits each
    /// interval.
    automatic: AtomicBool,
    /// The offset that was committed last, by partition.
    done: Mutex<BTreeMap<TopicPartition, Offset>>,
}

impl Commits {
    /// Returns the commits of a consumer that has committed nothing.
    pub(crate) fn new() -> Self {
        Self {
            turns: Semaphore::new(1),
            later: Later::default(),
            automatic: AtomicBool::new(false),
            done: Mutex::default(),
        }
    }

    /// Waits until no other commit is under way, and holds further ones back until the permit is
    /// dropped.
    ///
    /// # Errors
    /// None, since the semaphore is never closed.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.turns.acquire().await
    }

    /// Returns the asynchronous commits that wait for the commit task.
    pub(crate) fn later(&self) -> &Later {
        &self.later
    }

    /// Returns true if the commit task commits each interval.
    pub(crate) fn is_automatic(&self) -> bool {
        self.automatic.load(Ordering::Acquire)
    }

    /// Notes whether the commit task commits each interval.
    pub(crate) fn set_automatic(&self, automatic: bool) {
        self.automatic.store(automatic, Ordering::Release);
    }

    /// Notes offsets that were committed.
    pub(crate) fn note_done(&self, done: impl IntoIterator<Item = (TopicPartition, Offset)>) {
        self.done.lock().extend(done);
    }

    /// Returns the offset that was committed last, by partition.
    pub(crate) fn done(&self) -> BTreeMap<TopicPartition, Offset> {
        self.done.lock().clone()
    }
}
