//! Partitions of which something changed, for a task that would else have to look at all of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::partition::Partition;

/// Partitions in the order in which they were touched, each once.
#[derive(Default)]
pub(crate) struct Touched {
    list: Mutex<VecDeque<Weak<Partition>>>,
    /// Nobody asks for them.
    off: AtomicBool,
}

/// Whether a partition is in the list.
#[derive(Default)]
pub(crate) struct Mark(AtomicBool);

impl Touched {
    pub(crate) fn add(&self, partition: &Weak<Partition>, mark: &Mark) {
        if !self.off.load(Ordering::Acquire) && !mark.0.swap(true, Ordering::AcqRel) {
            self.list.lock().push_back(Weak::clone(partition));
        }
    }

    /// The first, of whose changes from now on it is told again; `mark` gives where it is marked.
    pub(crate) fn pop(&self, mark: impl Fn(&Partition) -> &Mark) -> Option<Arc<Partition>> {
        loop {
            let first = self.list.lock().pop_front()?;
            if let Some(partition) = first.upgrade() {
                mark(&partition).0.store(false, Ordering::Release);
                return Some(partition);
            }
        }
    }

    /// All of them.
    pub(crate) fn drain(&self, mark: impl Fn(&Partition) -> &Mark) -> Vec<Arc<Partition>> {
        let all = std::mem::take(&mut *self.list.lock());
        let there = all.iter().filter_map(Weak::upgrade);
        there
            .inspect(|partition| mark(partition).0.store(false, Ordering::Release))
            .collect()
    }

    /// Nobody asks for them any more.
    pub(crate) fn turn_off(&self) {
        self.off.store(true, Ordering::Release);
        self.list.lock().clear();
    }
}
