//! Which partitions are to be asked for at which broker: kept from one fetch to the next, so that a wake looks only at what changed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use milena_core::NodeId;
use tokio::time::Instant;

use crate::partition::Partition;

/// Where a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// It is to be asked for at this broker, once that has no fetch in flight.
    Waiting(NodeId),
    /// It is asked for at this broker.
    Flying(NodeId),
    /// Enough of it waits to be read; this broker leads it.
    Full(NodeId),
}

/// The partitions of a consumer, by what the fetcher has to do with them. Those that are not here wait for something to change.
#[derive(Default)]
pub(super) struct Waiting {
    slots: HashMap<Key, Slot>,
    lists: HashMap<NodeId, List>,
    /// How many full partitions each broker leads.
    full: HashMap<NodeId, usize>,
    /// When to look at a partition again.
    timers: BTreeMap<(Instant, Key), Arc<Partition>>,
}

/// What waits for a broker.
#[derive(Default)]
struct List {
    /// What waits, and what has been parked since and not been taken out yet. Each stands here once, however often it was parked
    /// and waited again: named twice in a request, it would stand in the broker's session twice, the second time for ever.
    partitions: HashMap<Key, Arc<Partition>>,
    /// Something changed since it was looked at last.
    fresh: bool,
}

/// Tells partitions apart: one that is assigned again is another one.
type Key = usize;

fn key(partition: &Arc<Partition>) -> Key {
    Arc::as_ptr(partition) as usize
}

impl Waiting {
    /// The partition is to be asked for at `node`. Where it is asked for there already, nothing changes.
    pub(super) fn wait(&mut self, partition: &Arc<Partition>, node: NodeId) {
        let known = self.slots.get(&key(partition)).copied();
        if known == Some(Slot::Flying(node)) {
            return;
        }
        let list = self.lists.entry(node).or_default();
        list.fresh = true;
        if known != Some(Slot::Waiting(node)) {
            list.partitions
                .insert(key(partition), Arc::clone(partition));
            self.set(partition, Some(Slot::Waiting(node)));
        }
    }

    /// The partition is asked for at `node`.
    pub(super) fn fly(&mut self, partition: &Arc<Partition>, node: NodeId) {
        self.set(partition, Some(Slot::Flying(node)));
    }

    /// The fetch at `node` is over.
    pub(super) fn land(&mut self, partition: &Arc<Partition>, node: NodeId) {
        if self.slots.get(&key(partition)) == Some(&Slot::Flying(node)) {
            self.set(partition, None);
        }
    }

    /// Nothing of the partition is wanted now; `node` leads it, where that is since enough of it waits.
    pub(super) fn park(&mut self, partition: &Arc<Partition>, full: Option<NodeId>) {
        let flying = matches!(self.slots.get(&key(partition)), Some(Slot::Flying(_)));
        if !flying {
            self.set(partition, full.map(Slot::Full));
        }
    }

    fn set(&mut self, partition: &Arc<Partition>, slot: Option<Slot>) {
        let before = match slot {
            Some(slot) => self.slots.insert(key(partition), slot),
            None => self.slots.remove(&key(partition)),
        };
        if let Some(Slot::Full(node)) = before
            && let Some(count) = self.full.get_mut(&node)
        {
            *count = count.saturating_sub(1);
        }
        if let Some(Slot::Full(node)) = slot {
            *self.full.entry(node).or_default() += 1;
        }
    }

    /// Looks at the partition again at `at`.
    pub(super) fn look_at(&mut self, partition: &Arc<Partition>, at: Instant) {
        self.timers
            .insert((at, key(partition)), Arc::clone(partition));
    }

    /// The partitions whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Arc<Partition>> {
        let later = self.timers.split_off(&(now, Key::MAX));
        std::mem::replace(&mut self.timers, later)
            .into_values()
            .collect()
    }

    /// When to look again at the latest.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// Whether a partition that `node` leads is left out, since enough of it waits.
    pub(super) fn is_crowded(&self, node: NodeId) -> bool {
        self.full.get(&node).is_some_and(|count| *count > 0)
    }

    /// The brokers that something waits for, and whether anything changed there since it was [taken](Self::take) last.
    pub(super) fn nodes(&self) -> Vec<(NodeId, bool)> {
        let lists = self.lists.iter();
        lists
            .filter(|(_, list)| !list.partitions.is_empty())
            .map(|(node, list)| (*node, list.fresh))
            .collect()
    }

    /// What waits for `node`.
    pub(super) fn take(&mut self, node: NodeId) -> Vec<Arc<Partition>> {
        let Some(list) = self.lists.get_mut(&node) else {
            return Vec::new();
        };
        list.fresh = false;
        let here = Some(&Slot::Waiting(node));
        std::mem::take(&mut list.partitions)
            .into_iter()
            .filter(|(key, _)| self.slots.get(key) == here)
            .map(|(_, partition)| partition)
            .collect()
    }

    /// What was taken and not sent waits on.
    pub(super) fn put_back(&mut self, node: NodeId, left: Vec<Arc<Partition>>) {
        let left = left
            .into_iter()
            .map(|partition| (key(&partition), partition));
        self.lists.entry(node).or_default().partitions.extend(left);
    }

    /// Forgets all partitions but these.
    pub(super) fn keep_only(&mut self, partitions: &[Arc<Partition>]) {
        let kept: HashSet<_> = partitions.iter().map(key).collect();
        self.slots.retain(|key, _| kept.contains(key));
        self.timers.retain(|(_, key), _| kept.contains(key));
        self.full.clear();
        for slot in self.slots.values() {
            if let Slot::Full(node) = slot {
                *self.full.entry(*node).or_default() += 1;
            }
        }
        for list in self.lists.values_mut() {
            list.partitions.retain(|key, _| kept.contains(key));
        }
        self.lists.retain(|_, list| !list.partitions.is_empty());
    }
}
