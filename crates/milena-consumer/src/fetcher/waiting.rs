//! Partitions to fetch, by broker. They are kept from one fetch to the next, so that a wake of the
//! fetch task looks only at partitions that changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use milena_core::NodeId;
use tokio::time::Instant;

use crate::partition::Partition;

/// State of a partition in the fetch task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FetchSlot {
    /// It is to be fetched from this broker, once that has no fetch in flight.
    Waiting(NodeId),
    /// It is part of the fetch in flight to this broker.
    Flying(NodeId),
    /// Enough of its records wait to be read. This broker leads it.
    Full(NodeId),
}

/// The consumer's partitions, by their state in the fetch task. Partitions that are absent here
/// wait for something to change.
#[derive(Default)]
pub(super) struct Waiting {
    /// State of each partition. Absent if nothing is to be done with it.
    slots: HashMap<Key, FetchSlot>,
    /// Partitions that wait for each broker.
    lists: HashMap<NodeId, List>,
    /// Number of full partitions that each broker leads. Equals the number of `Full` slots of that
    /// broker.
    full: HashMap<NodeId, usize>,
    /// Partitions to look at again at a given time.
    timers: BTreeMap<(Instant, Key), Arc<Partition>>,
}

/// Partitions that wait for one broker.
#[derive(Default)]
struct List {
    /// Waiting partitions, and some that were parked since and not removed yet. The slot says which
    /// of them still wait.
    ///
    /// Each partition is here once, however often it was parked and waited again. A partition that
    /// is named twice in a request would be in the broker's session twice, and its second entry
    /// would never leave it.
    partitions: HashMap<Key, Arc<Partition>>,
    /// True if a partition began to wait since the list was last taken.
    fresh: bool,
}

/// Identity of a partition. A partition that is assigned again has another one.
type Key = usize;

fn key(partition: &Arc<Partition>) -> Key {
    Arc::as_ptr(partition) as usize
}

impl Waiting {
    /// Makes the partition wait for `node`. Does nothing if it is part of a fetch in flight to that
    /// broker.
    pub(super) fn wait(&mut self, partition: &Arc<Partition>, node: NodeId) {
        let known = self.slots.get(&key(partition)).copied();
        if known == Some(FetchSlot::Flying(node)) {
            return;
        }
        let list = self.lists.entry(node).or_default();
        list.fresh = true;
        if known != Some(FetchSlot::Waiting(node)) {
            list.partitions
                .insert(key(partition), Arc::clone(partition));
            self.set(partition, Some(FetchSlot::Waiting(node)));
        }
    }

    /// Marks the partition as part of a fetch in flight to `node`.
    pub(super) fn fly(&mut self, partition: &Arc<Partition>, node: NodeId) {
        self.set(partition, Some(FetchSlot::Flying(node)));
    }

    /// Ends the fetch of the partition from `node`.
    pub(super) fn land(&mut self, partition: &Arc<Partition>, node: NodeId) {
        if self.slots.get(&key(partition)) == Some(&FetchSlot::Flying(node)) {
            self.set(partition, None);
        }
    }

    /// Stops the partition's wait. `full` names its leader if enough of its records wait to be
    /// read, and is `None` for any other reason.
    pub(super) fn park(&mut self, partition: &Arc<Partition>, full: Option<NodeId>) {
        let flying = matches!(self.slots.get(&key(partition)), Some(FetchSlot::Flying(_)));
        if !flying {
            self.set(partition, full.map(FetchSlot::Full));
        }
    }

    /// Changes the slot of a partition and keeps the counts in `full` right.
    fn set(&mut self, partition: &Arc<Partition>, slot: Option<FetchSlot>) {
        let before = match slot {
            Some(slot) => self.slots.insert(key(partition), slot),
            None => self.slots.remove(&key(partition)),
        };
        if let Some(FetchSlot::Full(node)) = before
            && let Some(count) = self.full.get_mut(&node)
        {
            *count = count.saturating_sub(1);
        }
        if let Some(FetchSlot::Full(node)) = slot {
            *self.full.entry(node).or_default() += 1;
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

    /// Returns the brokers that partitions wait for. The flag is true if something changed there
    /// since it was last [taken](Self::take).
    pub(super) fn nodes(&self) -> Vec<(NodeId, bool)> {
        let lists = self.lists.iter();
        lists
            .filter(|(_, list)| !list.partitions.is_empty())
            .map(|(node, list)| (*node, list.fresh))
            .collect()
    }

    /// Takes the partitions that wait for `node`.
    pub(super) fn take(&mut self, node: NodeId) -> Vec<Arc<Partition>> {
        let Some(list) = self.lists.get_mut(&node) else {
            return Vec::new();
        };
        list.fresh = false;
        let here = Some(&FetchSlot::Waiting(node));
        std::mem::take(&mut list.partitions)
            .into_iter()
            .filter(|(key, _)| self.slots.get(key) == here)
            .map(|(_, partition)| partition)
            .collect()
    }

    /// Returns partitions to the list that were taken and not sent.
    pub(super) fn put_back(&mut self, node: NodeId, left: Vec<Arc<Partition>>) {
        let left = left
            .into_iter()
            .map(|partition| (key(&partition), partition));
        self.lists.entry(node).or_default().partitions.extend(left);
    }

    /// Removes all partitions but these.
    pub(super) fn keep_only(&mut self, partitions: &[Arc<Partition>]) {
        let kept: HashSet<_> = partitions.iter().map(key).collect();
        self.slots.retain(|key, _| kept.contains(key));
        self.timers.retain(|(_, key), _| kept.contains(key));
        self.full.clear();
        for slot in self.slots.values() {
            if let FetchSlot::Full(node) = slot {
                *self.full.entry(*node).or_default() += 1;
            }
        }
        for list in self.lists.values_mut() {
            list.partitions.retain(|key, _| kept.contains(key));
        }
        self.lists.retain(|_, list| !list.partitions.is_empty());
    }
}
