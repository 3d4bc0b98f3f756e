//! The replicas of a partition, with those in sync and the ends of those that do not fetch.

use std::collections::{BTreeMap, BTreeSet};

/// The replicas of one partition. They share one log. A replica that fetches has all of it, and one
/// that does not fetch ends somewhere before.
#[derive(Clone, Debug)]
pub(crate) struct Replicas {
    /// All replicas, the preferred leader first.
    all: Vec<i32>,
    /// The replicas in sync, in the order of `all`. Never empty.
    in_sync: Vec<i32>,
    /// The log ends of the replicas that do not fetch.
    ends: BTreeMap<i32, i64>,
    /// The replicas that were stopped by a test, up or down. They do not catch up before
    /// [`resume`](Self::resume).
    stopped: BTreeSet<i32>,
}

impl Replicas {
    /// Makes replicas that are all in sync, the preferred leader first.
    pub(crate) fn new(all: Vec<i32>) -> Self {
        Self {
            in_sync: all.clone(),
            all,
            ends: BTreeMap::new(),
            stopped: BTreeSet::new(),
        }
    }

    /// Returns all replicas, the preferred leader first.
    pub(crate) fn all(&self) -> &[i32] {
        &self.all
    }

    /// Returns the replicas in sync.
    pub(crate) fn in_sync(&self) -> &[i32] {
        &self.in_sync
    }

    /// Returns the high watermark of a log that ends at `end`. Every replica in sync has everything
    /// below it.
    pub(crate) fn committed(&self, end: i64) -> i64 {
        if self.ends.is_empty() {
            return end;
        }
        let ends = self.in_sync.iter().filter_map(|node| self.ends.get(node));
        ends.copied().fold(end, i64::min)
    }

    /// Returns true if `node` lacks records of a log that ends at `end`.
    pub(crate) fn lags(&self, node: i32, end: i64) -> bool {
        self.ends.get(&node).is_some_and(|own| *own < end)
    }

    /// Stops `node` from fetching. It stays in sync until it [`leaves`](Self::leave).
    pub(crate) fn stop(&mut self, node: i32, end: i64) {
        if self.all.contains(&node) {
            self.ends.entry(node).or_insert(end);
        }
    }

    /// Stops `node` from fetching until [`resume`](Self::resume).
    pub(crate) fn hold(&mut self, node: i32, end: i64) {
        self.stop(node, end);
        self.stopped.insert(node);
    }

    /// Returns true if `node` was stopped by [`hold`](Self::hold).
    pub(crate) fn is_stopped(&self, node: i32) -> bool {
        self.stopped.contains(&node)
    }

    /// Lets `node` fetch again, from its next [`catch_up`](Self::catch_up) on.
    pub(crate) fn resume(&mut self, node: i32) {
        self.stopped.remove(&node);
    }

    /// Removes `node` from the in-sync replicas. The last one stays, because no other has all
    /// committed records.
    pub(crate) fn leave(&mut self, node: i32) {
        if self.in_sync.len() > 1 {
            self.in_sync.retain(|id| *id != node);
        }
    }

    /// Lets `node` fetch from the leader, so that it has everything and is in sync. Does nothing if
    /// it was stopped.
    pub(crate) fn catch_up(&mut self, node: i32) {
        if !self.all.contains(&node) || self.stopped.contains(&node) {
            return;
        }
        self.ends.remove(&node);
        if !self.in_sync.contains(&node) {
            self.in_sync = self
                .all
                .iter()
                .copied()
                .filter(|id| *id == node || self.in_sync.contains(id))
                .collect();
        }
    }

    /// Returns a replica that may lead. It is up and in sync, or just up with `unclean`.
    pub(crate) fn candidate(&self, is_up: impl Fn(i32) -> bool, unclean: bool) -> Option<i32> {
        let up = |id: &i32| is_up(*id);
        let clean = self.all.iter().copied().filter(up);
        let clean = clean.into_iter().find(|id| self.in_sync.contains(id));
        clean.or_else(|| self.all.iter().copied().filter(up).find(|_| unclean))
    }

    /// Makes `node` the leader of a log that ended at `end`. Returns the new end, because records
    /// that the new leader lacks are lost.
    pub(crate) fn promote(&mut self, node: i32, end: i64) -> i64 {
        let end = self.ends.remove(&node).map_or(end, |own| own.min(end));
        self.stopped.remove(&node);
        for other in self.ends.values_mut() {
            *other = end.min(*other);
        }
        if !self.in_sync.contains(&node) {
            self.in_sync = vec![node];
        }
        end
    }

    /// Replaces `old` by `node`, which has everything, as by a reassignment.
    pub(crate) fn replace(&mut self, old: Option<i32>, node: i32) {
        self.all.retain(|id| Some(*id) != old);
        self.in_sync.retain(|id| Some(*id) != old);
        self.all.insert(0, node);
        self.in_sync.insert(0, node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_in_sync_holds_the_watermark_until_it_leaves() {
        let mut replicas = Replicas::new(vec![1, 2, 3]);
        replicas.hold(2, 10);
        assert_eq!(replicas.committed(15), 10);
        assert!(replicas.lags(2, 15) && !replicas.lags(2, 10));
        replicas.leave(2);
        assert_eq!(replicas.committed(15), 15);
        assert_eq!(replicas.in_sync(), [1, 3]);
        replicas.catch_up(2);
        assert_eq!(replicas.in_sync(), [1, 3], "it was told not to fetch");
        replicas.resume(2);
        replicas.catch_up(2);
        assert_eq!(replicas.in_sync(), [1, 2, 3]);
    }

    #[test]
    fn a_leader_that_lacks_the_end_cuts_the_log() {
        let mut replicas = Replicas::new(vec![1, 2, 3]);
        replicas.hold(2, 10);
        replicas.stop(3, 12);
        assert_eq!(replicas.promote(2, 15), 10);
        assert!(!replicas.lags(3, 10));
        assert_eq!(replicas.in_sync(), [1, 2, 3]);
    }

    #[test]
    fn only_an_unclean_election_takes_one_that_is_not_in_sync() {
        let mut replicas = Replicas::new(vec![1, 2]);
        replicas.leave(2);
        replicas.leave(1);
        assert_eq!(replicas.in_sync(), [1], "the last one stays");
        let two_is_up = |id| id == 2;
        assert_eq!(replicas.candidate(two_is_up, false), None);
        assert_eq!(replicas.candidate(two_is_up, true), Some(2));
        replicas.promote(2, 5);
        assert_eq!(replicas.in_sync(), [2]);
    }
}
