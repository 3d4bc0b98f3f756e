//! The state of the partitions in the fetch task. It is kept from one fetch to the next, so that a
//! wake of the task looks only at partitions that changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use milena_core::NodeId;
use tokio::time::Instant;

use crate::partition::Partition;

/// State of a partition in the fetch task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FetchSlot {
    /// It is fetched from this broker.
    At(NodeId),
    /// Enough of its records wait to be read. This broker leads it.
    Full(NodeId),
}

/// The consumer's partitions, by their state in the fetch task. Partitions that are absent here
/// wait for something to change.
#[derive(Default)]
pub(super) struct Waiting {
    /// State of each partition. Absent if nothing is to be done with it.
    slots: HashMap<Key, FetchSlot>,
    /// Number of full partitions that each broker leads. Equals the number of `Full` slots of that
    /// broker.
    full: HashMap<NodeId, usize>,
    /// Partitions to look at again at a given time.
    timers: BTreeMap<(Instant, Key), Arc<Partition>>,
}

/// Identity of a partition. A partition that is assigned again has another one.
pub(super) type Key = usize;

/// Returns the identity of a partition.
pub(super) fn key(partition: &Arc<Partition>) -> Key {
    Arc::as_ptr(partition) as usize
}

impl Waiting {
    /// Has the partition fetched from `node`. Returns the broker that it was fetched from before.
    pub(super) fn fetch_from(
        &mut self,
        partition: &Arc<Partition>,
        node: NodeId,
    ) -> Option<NodeId> {
        self.set(partition, Some(FetchSlot::At(node)))
    }

    /// Has the partition fetched from no broker. `full` names its leader if enough of its records
    /// wait to be read, and is `None` for any other reason. Returns the broker that it was fetched
    /// from before.
    pub(super) fn park(
        &mut self,
        partition: &Arc<Partition>,
        full: Option<NodeId>,
    ) -> Option<NodeId> {
        self.set(partition, full.map(FetchSlot::Full))
    }

    /// Changes the slot of a partition and keeps the counts in `full` right. Returns the broker
    /// that it was fetched from before.
    fn set(&mut self, partition: &Arc<Partition>, slot: Option<FetchSlot>) -> Option<NodeId> {
        let before = match slot {
            Some(slot) => self.slots.insert(key(partition), slot),
            None => self.slots.remove(&key(partition)),
        };
        if let Some(FetchSlot::Full(node)) = slot {
            *self.full.entry(node).or_default() += 1;
        }
        match before {
            Some(FetchSlot::At(node)) => Some(node),
            Some(FetchSlot::Full(node)) => {
                if let Some(count) = self.full.get_mut(&node) {
                    *count = count.saturating_sub(1);
                }
                None
            }
            None => None,
        }
    }

    /// Schedules another look at the partition for `at`.
    pub(super) fn look_at(&mut self, partition: &Arc<Partition>, at: Instant) {
        self.timers
            .insert((at, key(partition)), Arc::clone(partition));
    }

    /// Returns the partitions whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Arc<Partition>> {
        let later = self.timers.split_off(&(now, Key::MAX));
        std::mem::replace(&mut self.timers, later)
            .into_values()
            .collect()
    }

    /// Returns the time of the next scheduled look. `None` if there is none.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// Returns true if a partition that `node` leads is left out because enough of its records wait
    /// to be read.
    pub(super) fn is_crowded(&self, node: NodeId) -> bool {
        self.full.get(&node).is_some_and(|count| *count > 0)
    }

    /// Removes all partitions but these.
    pub(super) fn keep_only(&mut self, kept: &HashSet<Key>) {
        self.slots.retain(|key, _| kept.contains(key));
        self.timers.retain(|(_, key), _| kept.contains(key));
        self.full.clear();
        for slot in self.slots.values() {
            if let FetchSlot::Full(node) = slot {
                *self.full.entry(*node).or_default() += 1;
            }
        }
    }
}
