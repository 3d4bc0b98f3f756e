//! The state of a cluster: its metadata, its brokers, and the time of the next refresh.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use milena_core::{Address, Error, ErrorKind, NodeId, Persistence, Result};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::coordinator::Coordinators;
use crate::doubts::Doubts;
use crate::line::Dialer;
use crate::metadata::Metadata;
use crate::signals::Signals;
use crate::tasks::closed;
use crate::timing::Timing;
use crate::users::Users;
use crate::wanted::Wanted;

/// The state of a cluster, shared by the clones of its handle and by its background tasks.
///
/// The tasks hold it weakly, so that they end with the last clone of the handle.
pub(crate) struct ClusterCore {
    /// The addresses given by the user. Asked for metadata when the known brokers do not answer.
    pub(crate) bootstrap: Vec<Address>,
    /// The settings of all connections, and the list of their tasks.
    pub(crate) dialer: Arc<Dialer>,
    /// The timeouts, backoffs and refresh interval of this handle.
    pub(crate) timing: Timing,
    /// The metadata snapshot. Replaced as a whole, only by [`ClusterCore::change`]. Empty before
    /// the first answer.
    pub(crate) metadata: ArcSwap<Metadata>,
    /// Counts the changes of `metadata` and wakes those who watch it.
    changed: watch::Sender<u64>,
    /// The topics that refreshes ask for.
    pub(crate) wanted: Mutex<Wanted>,
    /// Claims in answers that contradict `metadata` and are not confirmed yet.
    pub(crate) doubts: Mutex<Doubts>,
    /// The connections to each broker. Its lock also orders the writers of `metadata`. An entry is
    /// removed when the broker leaves the metadata or changes its address.
    brokers: Mutex<HashMap<NodeId, Arc<Broker>>>,
    /// The coordinators found so far.
    pub(crate) coordinators: Coordinators,
    /// Requests for a refresh, and the token that closes the handle.
    pub(crate) signals: Arc<Signals>,
    /// The time of the last refresh of the whole metadata.
    renewed_at: Mutex<Instant>,
    /// The producers and consumers that work over this handle, held weakly.
    pub(crate) users: Users,
}

impl ClusterCore {
    /// Creates the state of a handle that has no metadata yet.
    pub(crate) fn new(bootstrap: Vec<Address>, dialer: Arc<Dialer>, timing: Timing) -> Self {
        Self {
            bootstrap,
            dialer,
            timing,
            metadata: ArcSwap::default(),
            changed: watch::Sender::new(0),
            wanted: Mutex::default(),
            doubts: Mutex::default(),
            brokers: Mutex::default(),
            coordinators: Coordinators::default(),
            signals: Arc::new(Signals::new()),
            renewed_at: Mutex::new(Instant::now()),
            users: Users::default(),
        }
    }

    /// Returns a watch whose value counts the changes of the metadata.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Ends the handle. Releases the brokers, and fails all who wait for a refresh.
    pub(crate) fn end(&self) {
        self.signals.closing.cancel();
        self.brokers.lock().clear();
        self.signals.end_for_good(&closed());
        self.changed.send_modify(|count| *count += 1);
    }

    /// Returns the connections to a broker. If its address changed, returns a new empty set. The
    /// old connections end once their requests are answered.
    pub(crate) fn broker(&self, node: NodeId) -> Result<Arc<Broker>> {
        if self.signals.closing.is_cancelled() {
            return Err(closed().with_persistence(Persistence::NotWritten));
        }
        let metadata = self.metadata.load();
        let Some(known) = metadata.broker(node) else {
            let what = "the broker is not in the metadata of the cluster";
            return Err(Error::new(ErrorKind::State, what)
                .node(node)
                .with_persistence(Persistence::NotWritten));
        };
        let mut brokers = self.brokers.lock();
        if let Some(held) = brokers.get(&node)
            && held.line.address == known.address
        {
            return Ok(held.clone());
        }
        let fresh = Broker::new(node, known.address.clone(), self.dialer.clone())?;
        let fresh = Arc::new(fresh);
        brokers.insert(node, fresh.clone());
        Ok(fresh)
    }

    /// Returns the brokers that this handle has used.
    pub(crate) fn held_brokers(&self) -> HashMap<NodeId, Arc<Broker>> {
        self.brokers.lock().clone()
    }

    /// Returns the brokers, sorted by how soon they can be asked: first those with a free
    /// connection, then those without a connection, then busy ones, then those in backoff. Equal
    /// ones are shuffled.
    pub(crate) fn by_load(&self) -> Vec<NodeId> {
        let now = Instant::now();
        let held = self.brokers.lock();
        let mut nodes: Vec<_> = self
            .metadata
            .load()
            .brokers()
            .map(|known| {
                let rank = match held.get(&known.node) {
                    Some(broker) if !broker.is_ready(now) => 3,
                    Some(broker) => broker.rank(),
                    None => 1,
                };
                (rank, fastrand::u32(..), known.node)
            })
            .collect();
        nodes.sort_unstable_by_key(|(rank, chance, _)| (*rank, *chance));
        nodes.into_iter().map(|(_, _, node)| node).collect()
    }

    /// Replaces the metadata by the result of `make`. Does nothing if that is `None`.
    pub(crate) fn change(&self, make: impl FnOnce(&Metadata) -> Option<Metadata>) {
        // This lock orders the writers of `metadata`. Readers never wait.
        let mut brokers = self.brokers.lock();
        let Some(new) = make(&self.metadata.load()) else {
            return;
        };
        brokers.retain(|node, held| {
            new.broker(*node)
                .is_some_and(|known| known.address == held.line.address)
        });
        self.metadata.store(Arc::new(new));
        drop(brokers);
        self.changed.send_modify(|count| *count += 1);
    }

    /// Stores that the whole metadata was refreshed now.
    pub(crate) fn renewed(&self) {
        *self.renewed_at.lock() = Instant::now();
    }

    /// Returns the time of the next refresh that nobody requested, because the metadata is too old
    /// or a claim must be confirmed.
    pub(crate) fn due(&self) -> Instant {
        let old = *self.renewed_at.lock() + self.timing.metadata_max_age;
        let doubted = self.doubts.lock().next_look(Instant::now());
        doubted.map_or(old, |look| look.min(old))
    }
}

impl Drop for ClusterCore {
    fn drop(&mut self) {
        self.signals.closing.cancel();
    }
}
