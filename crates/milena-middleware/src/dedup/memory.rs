//! Keeps identities in memory and removes the oldest first.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::future::{Future, ready};
use std::time::Duration;

use bytes::Bytes;
use milena_core::BoxError;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::store::DedupStore;

/// A store that keeps identities in memory, up to a number and for a time.
///
/// Each identity takes its own length plus about 100 bytes. The store is empty after a restart. It
/// also knows nothing of the records of a partition that another member processed.
pub struct MemoryStore {
    /// The largest number of identities. At least 1.
    capacity: usize,
    /// The time after which an identity is removed. `None` for never.
    keep_for: Option<Duration>,
    /// The identities, shared by all lanes.
    kept: Mutex<KeptIdentities>,
}

#[derive(Default)]
struct KeptIdentities {
    /// The known identities. The same set as in `order`.
    known: HashSet<Bytes>,
    /// The identities with the time at which they were inserted, the oldest in front.
    order: VecDeque<(Bytes, Instant)>,
}

impl MemoryStore {
    /// Creates a store for up to `capacity` identities, at least 1. When it is full, an insert
    /// removes the oldest.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            keep_for: None,
            kept: Mutex::default(),
        }
    }

    /// Sets the time after which an identity is removed. Default never.
    #[must_use]
    pub fn keep_for(mut self, time: Duration) -> Self {
        self.keep_for = Some(time);
        self
    }

    /// Returns the number of identities.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.lock().known.len()
    }

    /// Returns true if the store holds no identity.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn forget_old(&self, kept: &mut KeptIdentities, room_for: usize) {
        let now = Instant::now();
        let is_old = |since: &Instant| self.keep_for.is_some_and(|time| now - *since > time);
        while let Some((identity, since)) = kept.order.front()
            && (is_old(since) || kept.order.len() + room_for > self.capacity)
        {
            kept.known.remove(identity);
            kept.order.pop_front();
        }
    }
}

impl DedupStore for MemoryStore {
    fn contains(&self, identity: &Bytes) -> impl Future<Output = Result<bool, BoxError>> + Send {
        let mut kept = self.kept.lock();
        self.forget_old(&mut kept, 0);
        ready(Ok(kept.known.contains(identity)))
    }

    fn insert(&self, identity: &Bytes) -> impl Future<Output = Result<(), BoxError>> + Send {
        let mut kept = self.kept.lock();
        if !kept.known.contains(identity) {
            self.forget_old(&mut kept, 1);
            // A copy, because a slice would keep the memory of the whole fetch.
            let identity = Bytes::copy_from_slice(identity);
            kept.known.insert(identity.clone());
            kept.order.push_back((identity, Instant::now()));
        }
        ready(Ok(()))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn has(store: &MemoryStore, identity: &'static str) -> bool {
        store.contains(&identity.into()).await.unwrap_or(false)
    }

    async fn put(store: &MemoryStore, identity: &'static str) {
        assert!(store.insert(&identity.into()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_goes_when_it_is_full_and_each_after_its_time() {
        let store = MemoryStore::new(2).keep_for(Duration::from_secs(10));
        for identity in ["a", "b", "b", "c"] {
            put(&store, identity).await;
        }
        assert!(!has(&store, "a").await && has(&store, "b").await && has(&store, "c").await);
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(!has(&store, "c").await && store.is_empty());
    }
}
