//! A list of partitions that changed, so that a task need not look at all partitions.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::partition::Partition;

/// Partitions in the order in which they changed, each once.
#[derive(Default)]
pub(crate) struct Touched {
    /// The partitions. Weak, so that the list keeps no revoked partition alive.
    list: Mutex<VecDeque<Weak<Partition>>>,
    /// True once the list is no longer read. Nothing is added then.
    off: AtomicBool,
}

/// A flag of a partition. True while the partition is in the list.
#[derive(Default)]
pub(crate) struct Mark(AtomicBool);

impl Touched {
    /// Adds a partition to the end of the list, unless `mark` says that it is in the list.
    pub(crate) fn add(&self, partition: &Weak<Partition>, mark: &Mark) {
        if !self.off.load(Ordering::Acquire) && !mark.0.swap(true, Ordering::AcqRel) {
            self.list.lock().push_back(Weak::clone(partition));
        }
    }

    /// Takes the first partition and clears its mark, so that later changes add it again. `mark`
    /// returns the partition's flag for this list.
    pub(crate) fn pop(&self, mark: impl Fn(&Partition) -> &Mark) -> Option<Arc<Partition>> {
        loop {
            let first = self.list.lock().pop_front()?;
            if let Some(partition) = first.upgrade() {
                // Cleared before the caller looks at the partition. A change during that look adds
                // it again.
                mark(&partition).0.store(false, Ordering::Release);
                return Some(partition);
            }
        }
    }

    /// Takes all partitions and clears their marks.
    pub(crate) fn drain(&self, mark: impl Fn(&Partition) -> &Mark) -> Vec<Arc<Partition>> {
        let all = std::mem::take(&mut *self.list.lock());
        let there = all.iter().filter_map(Weak::upgrade);
        there
            .inspect(|partition| mark(partition).0.store(false, Ordering::Release))
            .collect()
    }

    /// Empties the list and turns it off for good.
    pub(crate) fn turn_off(&self) {
        self.off.store(true, Ordering::Release);
        self.list.lock().clear();
    }
}
