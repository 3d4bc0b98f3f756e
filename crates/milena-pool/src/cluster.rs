//! The handle on a cluster: its picture, its brokers, and the connections to them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use milena_core::{Address, Error, ErrorKind, NodeId, Observers, Persistence, Result, WallClock};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::broker::{Broker, Dialer, Role};
use crate::connection::Connection;
use crate::coordinator::Coordinators;
use crate::doubts::Doubts;
use crate::metadata::Metadata;
use crate::settings::{ClusterBuilder, Timing};
use crate::signals::{Asked, Signals};
use crate::tasks::closed;
use crate::upkeep::Upkeep;
use crate::users::Users;
use crate::wanted::{Scope, Wanted};

/// A handle on a cluster. A clone leads to the same one, with the same connections.
///
/// The connections end with [`close`](Self::close), or with the last clone.
#[derive(Clone)]
pub struct Cluster(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) bootstrap: Vec<Address>,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) timing: Timing,
    pub(crate) metadata: ArcSwap<Metadata>,
    changed: watch::Sender<u64>,
    pub(crate) wanted: Mutex<Wanted>,
    /// What answers said against the picture and nobody confirmed yet.
    pub(crate) doubts: Mutex<Doubts>,
    brokers: Mutex<HashMap<NodeId, Arc<Broker>>>,
    pub(crate) coordinators: Coordinators,
    pub(crate) signals: Arc<Signals>,
    pub(crate) upkeep: Upkeep,
    renewed_at: Mutex<Instant>,
    pub(crate) users: Users,
}

impl Cluster {
    /// Begins a handle on the cluster that is reached by `bootstrap`: `host:port` each.
    pub fn builder<I>(bootstrap: I) -> ClusterBuilder
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        ClusterBuilder::new(bootstrap.into_iter().map(Into::into).collect())
    }

    pub(crate) async fn start(
        bootstrap: Vec<Address>,
        dialer: Arc<Dialer>,
        timing: Timing,
    ) -> Result<Self> {
        let inner = Arc::new(Inner {
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
            upkeep: Upkeep::default(),
            renewed_at: Mutex::new(Instant::now()),
            users: Users::default(),
        });
        let cluster = Self(inner);
        cluster.first_contact().await?;
        cluster.0.keep_up();
        cluster.tell_contact();
        Ok(cluster)
    }

    fn tell_contact(&self) {
        let metadata = self.metadata();
        let cluster_id = metadata.cluster_id().unwrap_or_default();
        let brokers: Vec<_> = metadata
            .brokers()
            .map(|broker| format!("{} at {}", broker.node, broker.address))
            .collect();
        tracing::info!(
            cluster_id,
            brokers = brokers.join(", "),
            "connected to the cluster"
        );
    }

    /// Tries until a broker answers or the API timeout passes.
    async fn first_contact(&self) -> Result<()> {
        let mut last: Option<Error> = None;
        let trying = async {
            let mut attempt = 0;
            loop {
                match self.0.renew(&Scope::Wanted(BTreeSet::new()), false).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.is_retriable() => {
                        // Once for each reason: the tries go on for as long as the API timeout.
                        if last.as_ref().map(ToString::to_string) != Some(error.to_string()) {
                            tracing::warn!(%error, "no broker answers yet; trying again");
                        }
                        last = Some(error);
                    }
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(self.0.timing.retry.delay(attempt)).await;
                attempt += 1;
            }
        };
        let limit = self.0.timing.api_timeout;
        match timeout(limit, trying).await {
            Ok(ended) => ended,
            Err(_) => Err(last.unwrap_or_else(|| {
                let what = format!("no broker answered within {limit:?}");
                let error = Error::new(ErrorKind::Timeout, what).setting("bootstrap.servers");
                self.0.bootstrap.iter().take(1).fold(error, Error::address)
            })),
        }
    }

    /// The present picture of the cluster. Cheap; hold it for one decision, then take it anew.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        self.0.metadata.load_full()
    }

    /// A watch that changes whenever the picture does; its value counts the changes.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// The connection of `role` to `node`, dialed when there is none that works; all clones of this handle share it.
    ///
    /// Use [`OwnConnections`](crate::OwnConnections) for requests that block at the broker, such as a long fetch. Waits out the
    /// broker's backoff, then at most the connect timeout; callers that come while another one dials share what comes of it.
    ///
    /// # Errors
    /// [`ErrorKind::State`] for an unknown broker (refresh, then retry); [`ErrorKind::Closed`] after
    /// [`close`](Self::close); else as [`Connection::open`].
    pub async fn connection(&self, node: NodeId, role: Role) -> Result<Connection> {
        self.0.keep_up();
        let broker = self.0.broker(node)?;
        let opened = broker.connection(role).await;
        self.note_dial(&opened);
        opened
    }

    /// A new connection to `node`, nobody's but the caller's. It ends with its last handle, or with the cluster's.
    ///
    /// For more of one role than the one that [`connection`](Self::connection) gives: a broker works on one request of a connection at a
    /// time. Waits as that does.
    ///
    /// # Errors
    /// As [`connection`](Self::connection).
    pub async fn dial(&self, node: NodeId) -> Result<Connection> {
        let broker = self.0.broker(node)?;
        let opened = broker.line.dial().await;
        self.note_dial(&opened);
        opened
    }

    /// After a dial that failed, looks again who is there.
    pub(crate) fn note_dial(&self, dialed: &Result<Connection>) {
        if let Err(error) = dialed
            && error.kind() != ErrorKind::Closed
        {
            // Its leaders may have moved, or its address.
            self.request_refresh();
        }
    }

    /// Who is told of what happens.
    #[must_use]
    pub fn observers(&self) -> &Observers {
        &self.0.dialer.options.observers
    }

    /// The largest answer accepted, in bytes.
    #[must_use]
    pub fn max_frame(&self) -> usize {
        self.0.dialer.options.max_frame
    }

    /// How long an answer may take: `request.timeout.ms`.
    #[must_use]
    pub fn request_timeout(&self) -> std::time::Duration {
        self.0.dialer.options.request_timeout
    }

    /// How long an operation with its retries may take: `default.api.timeout.ms`.
    #[must_use]
    pub fn api_timeout(&self) -> std::time::Duration {
        self.0.timing.api_timeout
    }

    /// The wall clock of all that shares the cluster.
    #[must_use]
    pub fn clock(&self) -> &WallClock {
        &self.0.dialer.options.clock
    }

    /// The waits between tries: `retry.backoff.ms`.
    #[must_use]
    pub fn backoff(&self) -> milena_core::Backoff {
        self.0.timing.retry
    }

    /// Whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.signals.closing.is_cancelled()
    }

    /// Ends every connection and task of this handle and its clones; requests without an answer fail.
    ///
    /// Other handles are untouched, even on the same cluster.
    ///
    /// # Cancel safety
    /// Dropped, everything ends all the same.
    pub async fn close(&self) {
        self.0.signals.closing.cancel();
        // All that can be said is said before the wait, which the caller may cut off.
        self.0.brokers.lock().clear();
        self.0.signals.end_for_good(&closed());
        self.0.changed.send_modify(|count| *count += 1);
        self.0.dialer.home.tasks.close().await;
    }

    /// Asks for a renewal of the picture and does not wait: several asked for at once become one.
    ///
    /// Renewals that bring nothing new are spaced further and further, up to `retry.backoff.max.ms`; one that fails is tried again.
    pub fn request_refresh(&self) {
        self.0.signals.ask_whole();
        self.0.keep_up();
    }

    /// Renews the picture and waits until a renewal that started after this call has ended.
    ///
    /// # Errors
    /// Why no broker could be asked.
    ///
    /// # Cancel safety
    /// Dropped, the renewal goes on.
    pub async fn refresh(&self) -> Result<()> {
        let asked = self.0.signals.ask_whole();
        self.served(asked).await
    }

    /// Waits until what was asked of the picture is there.
    pub(crate) async fn served(&self, asked: Asked) -> Result<()> {
        self.0.keep_up();
        match timeout(self.0.timing.api_timeout, self.0.signals.served(asked)).await {
            Ok(served) => served,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                "the picture of the cluster could not be renewed in time",
            )),
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("bootstrap", &self.0.bootstrap)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// What is held of a broker. One whose address changed starts afresh; its old connections end
    /// once their requests are answered.
    pub(crate) fn broker(&self, node: NodeId) -> Result<Arc<Broker>> {
        if self.signals.closing.is_cancelled() {
            return Err(closed().with_persistence(Persistence::NotWritten));
        }
        let metadata = self.metadata.load();
        let Some(known) = metadata.broker(node) else {
            let what = "the broker is not part of the cluster, as far as is known";
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

    /// What is held of brokers now.
    pub(crate) fn held_brokers(&self) -> HashMap<NodeId, Arc<Broker>> {
        self.brokers.lock().clone()
    }

    /// The brokers, those first that can be asked soonest: connected and little to do, then not
    /// connected, then those that wait out a backoff; otherwise by chance.
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

    /// Puts the picture that `make` draws from the present one in its place.
    pub(crate) fn change(&self, make: impl FnOnce(&Metadata) -> Option<Metadata>) {
        // The lock orders writers; readers never wait.
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

    pub(crate) fn renewed(&self) {
        *self.renewed_at.lock() = Instant::now();
    }

    /// When the picture is too old, or what was said against it is to be confirmed.
    pub(crate) fn due(&self) -> Instant {
        let old = *self.renewed_at.lock() + self.timing.metadata_max_age;
        let doubted = self.doubts.lock().next_look(Instant::now());
        doubted.map_or(old, |look| look.min(old))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.signals.closing.cancel();
    }
}
