//! The handle on a cluster: its metadata, its brokers, and the connections to them.

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

/// A handle on a cluster. Clones share metadata and connections.
///
/// The connections end with [`close`](Self::close), or when the last clone is dropped.
#[derive(Clone)]
pub struct Cluster(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    /// The addresses given by the user. Asked for metadata when the known brokers do not answer.
    pub(crate) bootstrap: Vec<Address>,
    /// The settings of all connections, and the list of their tasks.
    pub(crate) dialer: Arc<Dialer>,
    /// The timeouts, backoffs and refresh interval of this handle.
    pub(crate) timing: Timing,
    /// The metadata snapshot. Replaced as a whole, only by [`Inner::change`]. Empty before the
    /// first answer.
    pub(crate) metadata: ArcSwap<Metadata>,
    /// Counts the changes of `metadata` and wakes [`Cluster::changed`].
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
    /// The background tasks. They are started again if their runtime has ended.
    pub(crate) upkeep: Upkeep,
    /// The time of the last refresh of the whole metadata.
    renewed_at: Mutex<Instant>,
    /// The producers and consumers that work over this handle, held weakly.
    pub(crate) users: Users,
}

impl Cluster {
    /// Starts to build a handle on the cluster that `bootstrap` addresses reach, each `host:port`.
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

    /// Asks for metadata until a broker answers or the API timeout passes.
    async fn first_contact(&self) -> Result<()> {
        let mut last: Option<Error> = None;
        let trying = async {
            let mut attempt = 0;
            loop {
                match self.0.renew(&Scope::Wanted(BTreeSet::new()), false).await {
                    Ok(_) => return Ok(()),
                    Err(error) if error.is_retriable() => {
                        // Log each reason once. The attempts may go on for the whole API timeout.
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

    /// Returns the current metadata. Cheap. Hold it for one decision, then ask again.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        self.0.metadata.load_full()
    }

    /// Returns a watch that changes whenever the metadata does. Its value counts the changes.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Returns the connection of `role` to `node`. Dials if there is no working one. All clones of
    /// this handle share it.
    ///
    /// Waits until the broker's backoff is over, then at most the connect timeout. Callers that
    /// come while another one dials share its result. Use [`OwnConnections`](crate::OwnConnections)
    /// for requests that block at the broker, such as a long fetch.
    ///
    /// # Errors
    /// - [`ErrorKind::State`] for an unknown broker. Refresh the metadata, then retry.
    /// - [`ErrorKind::Closed`] after [`close`](Self::close).
    /// - The errors of [`Connection::open`].
    pub async fn connection(&self, node: NodeId, role: Role) -> Result<Connection> {
        self.0.keep_up();
        let broker = self.0.broker(node)?;
        let opened = broker.connection(role).await;
        self.note_dial(&opened);
        opened
    }

    /// Opens a connection to `node` that is not shared. It ends with its last clone, or with the
    /// cluster handle.
    ///
    /// Use it for more connections of one role than [`connection`](Self::connection) returns, since
    /// a broker works on one request of a connection at a time. Waits like `connection`.
    ///
    /// # Errors
    /// The errors of [`connection`](Self::connection).
    pub async fn dial(&self, node: NodeId) -> Result<Connection> {
        let broker = self.0.broker(node)?;
        let opened = broker.line.dial().await;
        self.note_dial(&opened);
        opened
    }

    /// Requests a metadata refresh if a dial failed.
    pub(crate) fn note_dial(&self, dialed: &Result<Connection>) {
        if let Err(error) = dialed
            && error.kind() != ErrorKind::Closed
        {
            // The broker's address may have changed, or its partitions may have other leaders.
            self.request_refresh();
        }
    }

    /// Returns the observers that receive the events of this handle.
    #[must_use]
    pub fn observers(&self) -> &Observers {
        &self.0.dialer.options.observers
    }

    /// Returns the largest accepted answer, in bytes.
    #[must_use]
    pub fn max_frame(&self) -> usize {
        self.0.dialer.options.max_frame
    }

    /// Returns the longest time that an answer may take, `request.timeout.ms`.
    #[must_use]
    pub fn request_timeout(&self) -> std::time::Duration {
        self.0.dialer.options.request_timeout
    }

    /// Returns the longest time that an operation with its retries may take,
    /// `default.api.timeout.ms`.
    #[must_use]
    pub fn api_timeout(&self) -> std::time::Duration {
        self.0.timing.api_timeout
    }

    /// Returns the wall clock that all users of the cluster read.
    #[must_use]
    pub fn clock(&self) -> &WallClock {
        &self.0.dialer.options.clock
    }

    /// Returns the waits between attempts, `retry.backoff.ms`.
    #[must_use]
    pub fn backoff(&self) -> milena_core::Backoff {
        self.0.timing.retry
    }

    /// Returns true if [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.signals.closing.is_cancelled()
    }

    /// Ends every connection and task of this handle and its clones. Requests without an answer
    /// fail.
    ///
    /// Other handles are not affected, even on the same cluster.
    ///
    /// # Cancel safety
    /// If the future is dropped, everything still ends.
    pub async fn close(&self) {
        self.0.signals.closing.cancel();
        // Report the end before the wait below, because the caller may drop this future while it
        // waits.
        self.0.brokers.lock().clear();
        self.0.signals.end_for_good(&closed());
        self.0.changed.send_modify(|count| *count += 1);
        self.0.dialer.home.tasks.close().await;
    }

    /// Requests a metadata refresh and does not wait. Several requests become one refresh.
    ///
    /// Refreshes that bring nothing new are spaced further and further apart, up to
    /// `retry.backoff.max.ms`. A refresh that fails is tried again.
    pub fn request_refresh(&self) {
        self.0.signals.ask_whole();
        self.0.keep_up();
    }

    /// Refreshes the metadata. Waits for the end of a refresh that starts after this call.
    ///
    /// # Errors
    /// The reason why no broker could be asked.
    ///
    /// # Cancel safety
    /// If the future is dropped, the refresh continues.
    pub async fn refresh(&self) -> Result<()> {
        let asked = self.0.signals.ask_whole();
        self.served(asked).await
    }

    /// Waits until the refresh `asked` has ended, at most the API timeout.
    pub(crate) async fn served(&self, asked: Asked) -> Result<()> {
        self.0.keep_up();
        match timeout(self.0.timing.api_timeout, self.0.signals.served(asked)).await {
            Ok(served) => served,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                "the metadata of the cluster could not be refreshed in time",
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

impl Drop for Inner {
    fn drop(&mut self) {
        self.signals.closing.cancel();
    }
}
