//! The channel by which callers tell the sender that a partition has a new batch. It carries one
//! message per batch, never one per record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Error, Persistence};
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use crate::enqueue::partition::Partition;

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

/// The partitions with something new, and the bell that wakes the sender.
#[derive(Default)]
pub(crate) struct Ready {
    /// The ids of announced partitions. Callers add, and the sender takes all.
    ids: Mutex<Vec<u32>>,
    /// All partitions of the producer.
    partitions: Mutex<Registry>,
    /// True once no caller is left. Never reset.
    abandoned: AtomicBool,
    /// True while the sender waits for an event, or for its turn after one came.
    resting: AtomicBool,
    /// True if a caller found the buffer full since the sender last looked.
    hurried: AtomicBool,
    /// Wakes the sender. A ring before it waits is kept.
    bell: Notify,
}

/// All partitions of a producer, and the error once it is closed.
#[derive(Default)]
struct Registry {
    /// The partitions, each at the index of its id. Entries are never removed.
    all: Vec<Arc<Partition>>,
    /// The error for further records, once the producer is closed. `None` before.
    closed: Option<Error>,
}

impl Ready {
    /// Announces that the partition of this id has a new batch, and wakes the sender.
    pub(crate) fn announce(&self, id: u32) {
        self.ids.lock().push(id);
        self.ring();
    }

    /// Wakes the sender to look at everything.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
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
        self.bell.notified().await;
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

    /// Adds a partition. `make` receives its id, which is its index in the list.
    pub(crate) fn register(&self, make: impl FnOnce(u32) -> Partition) -> Arc<Partition> {
        let mut registry = self.partitions.lock();
        let partition = Arc::new(make(u32::try_from(registry.all.len()).unwrap_or(u32::MAX)));
        if let Some(error) = &registry.closed {
            partition.close(error);
        }
        registry.all.push(partition.clone());
        partition
    }

    /// Moves the ids of announced partitions into `ids`. Returns the partitions from id `from` on,
    /// which include all announced ones that the caller does not know.
    pub(crate) fn news(&self, from: usize, ids: &mut Vec<u32>) -> Vec<Arc<Partition>> {
        // Ids first, since a partition is registered before it is announced. The other way round,
        // the sender could see the id of a partition that it does not know, and would never see it
        // again.
        self.drain(ids);
        let registry = self.partitions.lock();
        registry.all.get(from..).unwrap_or_default().to_vec()
    }

    /// Refuses records in all partitions, and in those that are added later.
    pub(crate) fn close(&self, error: &Error) {
        let mut registry = self.partitions.lock();
        let error = error.clone().with_persistence(Persistence::NotWritten);
        // The first reason stays.
        let error = registry.closed.get_or_insert(error).clone();
        for partition in &registry.all {
            partition.close(&error);
        }
    }

    /// Returns the error for new records, once the producer is closed.
    pub(crate) fn closed(&self) -> Option<Error> {
        self.partitions.lock().closed.clone()
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
}

#[cfg(test)]
mod tests {
    use milena_core::TopicPartition;

    use super::*;

    #[test]
    fn whoever_hears_of_a_partition_knows_it_already() {
        let ready = Arc::new(Ready::default());
        let flows = crate::settings::Draft::default().check().unwrap().flows;
        let flow = flows.usual().clone();
        let mut announced = ready.ids.lock();
        let sender = std::thread::spawn({
            let ready = ready.clone();
            move || {
                let mut ids = Vec::new();
                let known = ready.news(0, &mut ids);
                (known.len(), ids)
            }
        });
        // The sender gets as far as it can while a caller adds a partition and announces it.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let place = TopicPartition::new("orders", 0);
        let partition = ready.register(|id| Partition::new(place, id, flow, Arc::default()));
        announced.push(partition.id);
        drop(announced);
        assert_eq!(sender.join().unwrap(), (1, vec![0]));
    }
}
