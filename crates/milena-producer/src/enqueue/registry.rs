//! The list of all partitions of a producer, from which the send task learns of new ones.

use std::sync::Arc;

use milena_core::{Error, Persistence};
use parking_lot::Mutex;

use crate::enqueue::bell::Bell;
use crate::enqueue::partition::Partition;

/// All partitions of a producer. Closing it closes them all.
#[derive(Default)]
pub(crate) struct Registry {
    /// The partitions, and the error once the producer is closed. One lock holds both, so that no
    /// partition that is added meanwhile misses the close.
    listed: Mutex<Listed>,
}

/// The partitions of a registry, behind its lock.
#[derive(Default)]
struct Listed {
    /// The partitions, each at the index of its id. Entries are never removed.
    all: Vec<Arc<Partition>>,
    /// The error for further records, once the producer is closed. `None` before.
    closed: Option<Error>,
}

impl Registry {
    /// Adds a partition. `make` receives its id, which is its index in the list.
    pub(crate) fn register(&self, make: impl FnOnce(u32) -> Partition) -> Arc<Partition> {
        let mut listed = self.listed.lock();
        let partition = Arc::new(make(u32::try_from(listed.all.len()).unwrap_or(u32::MAX)));
        if let Some(error) = &listed.closed {
            partition.close(error);
        }
        listed.all.push(partition.clone());
        partition
    }

    /// Moves the ids of announced partitions into `ids`. Returns the partitions from id `from` on,
    /// which include all announced ones that the caller does not know.
    pub(crate) fn news(&self, bell: &Bell, from: usize, ids: &mut Vec<u32>) -> Vec<Arc<Partition>> {
        // Ids first, since a partition is registered before it is announced. The other way round,
        // the sender could see the id of a partition that it does not know, and would never see it
        // again.
        bell.drain(ids);
        let listed = self.listed.lock();
        listed.all.get(from..).unwrap_or_default().to_vec()
    }

    /// Refuses records in all partitions, and in those that are added later.
    pub(crate) fn close(&self, error: &Error) {
        let mut listed = self.listed.lock();
        let error = error.clone().with_persistence(Persistence::NotWritten);
        // The first reason stays.
        let error = listed.closed.get_or_insert(error).clone();
        for partition in &listed.all {
            partition.close(&error);
        }
    }

    /// Returns the error for new records, once the producer is closed.
    pub(crate) fn closed(&self) -> Option<Error> {
        self.listed.lock().closed.clone()
    }
}

#[cfg(test)]
mod tests {
    use milena_core::TopicPartition;

    use super::*;

    #[test]
    fn whoever_hears_of_a_partition_knows_it_already() {
        let (bell, registry) = (Arc::new(Bell::default()), Arc::new(Registry::default()));
        let flows = crate::settings::SettingsDraft::default()
            .check()
            .unwrap()
            .flows;
        let flow = flows.usual().clone();
        let mut announced = bell.hold();
        let sender = std::thread::spawn({
            let (bell, registry) = (bell.clone(), registry.clone());
            move || {
                let mut ids = Vec::new();
                let known = registry.news(&bell, 0, &mut ids);
                (known.len(), ids)
            }
        });
        // The sender gets as far as it can while a caller adds a partition and announces it.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let place = TopicPartition::new("orders", 0);
        let partition = registry.register(|id| Partition::new(place, id, flow, Arc::default()));
        announced.push(partition.id);
        drop(announced);
        assert_eq!(sender.join().unwrap(), (1, vec![0]));
    }
}
