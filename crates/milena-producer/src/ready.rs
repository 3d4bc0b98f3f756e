//! How callers tell the sender that a partition has something new: once per batch, never per record.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use milena_core::{Error, Persistence};
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;

use crate::partition::Partition;

/// Lets another thread run the sender, where it would come next on this one: a task that does not await would keep it waiting.
pub(crate) fn run_elsewhere() {
    if let Ok(runtime) = Handle::try_current()
        && runtime.runtime_flavor() == RuntimeFlavor::MultiThread
    {
        // The task that a thread woke last stays with it; with another one in that place, any thread may take the sender.
        runtime.spawn(async {});
    }
}

/// Partitions with news, and the bell that wakes the sender.
#[derive(Default)]
pub(crate) struct Ready {
    ids: Mutex<Vec<u32>>,
    partitions: Mutex<Registry>,
    abandoned: AtomicBool,
    /// Whether the sender waits for something, or for its turn after that came.
    resting: AtomicBool,
    /// Whether somebody found no room in the buffer since the sender looked.
    hurried: AtomicBool,
    bell: Notify,
}

#[derive(Default)]
struct Registry {
    all: Vec<Arc<Partition>>,
    closed: Option<Error>,
}

impl Ready {
    /// Says that the partition of this id has a new batch.
    pub(crate) fn announce(&self, id: u32) {
        self.ids.lock().push(id);
        self.ring();
    }

    /// Wakes the sender to look at everything.
    pub(crate) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Has the batches that are open now leave without lingering, since somebody found no room in the buffer.
    pub(crate) fn hurry(&self) {
        self.hurried.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether [`hurry`](Self::hurry) was called since the last call of this.
    pub(crate) fn takes_hurry(&self) -> bool {
        self.hurried.load(Ordering::Acquire) && self.hurried.swap(false, Ordering::AcqRel)
    }

    /// Waits for [`ring`](Self::ring); one that came before counts.
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }

    /// Notes whether the sender rests, or is at work.
    pub(crate) fn rests(&self, yes: bool) {
        self.resting.store(yes, Ordering::Release);
    }

    /// Whether the sender rests; rung for, it waits for its turn.
    pub(crate) fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Acquire)
    }

    /// Moves the ids of partitions with news into `ids`.
    pub(crate) fn drain(&self, ids: &mut Vec<u32>) {
        ids.append(&mut self.ids.lock());
    }

    /// Adds a partition, made with the id that it gets: its place in the list.
    pub(crate) fn register(&self, make: impl FnOnce(u32) -> Partition) -> Arc<Partition> {
        let mut registry = self.partitions.lock();
        let partition = Arc::new(make(u32::try_from(registry.all.len()).unwrap_or(u32::MAX)));
        if let Some(error) = &registry.closed {
            partition.close(error);
        }
        registry.all.push(partition.clone());
        partition
    }

    /// Moves the ids of partitions with news into `ids`; returns the partitions from id `from` on, which every such id is within.
    pub(crate) fn news(&self, from: usize, ids: &mut Vec<u32>) -> Vec<Arc<Partition>> {
        // In this order: a partition is registered before it is announced. The other way round, one that comes in between is heard of
        // without being known, and is never heard of again.
        self.drain(ids);
        let registry = self.partitions.lock();
        registry.all.get(from..).unwrap_or_default().to_vec()
    }

    /// Refuses records in all partitions, and in those still to come.
    pub(crate) fn close(&self, error: &Error) {
        let mut registry = self.partitions.lock();
        let error = error.clone().with_persistence(Persistence::NotWritten);
        // The first reason stays.
        let error = registry.closed.get_or_insert(error).clone();
        for partition in &registry.all {
            partition.close(&error);
        }
    }

    /// Why records are refused, once they are.
    pub(crate) fn closed(&self) -> Option<Error> {
        self.partitions.lock().closed.clone()
    }

    /// Says that no caller is left.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
        self.ring();
    }

    /// Whether no caller is left.
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
        // The sender comes as far as it gets while a caller makes a partition and announces it.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let place = TopicPartition::new("orders", 0);
        let partition = ready.register(|id| Partition::new(place, id, flow, Arc::default()));
        announced.push(partition.id);
        drop(announced);
        assert_eq!(sender.join().unwrap(), (1, vec![0]));
    }
}
