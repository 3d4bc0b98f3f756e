//! The handle on a cluster: its connections, its refreshes, and its end.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use deadpool::managed::Object;
use milena_core::{Address, Error, ErrorKind, NodeId, Observers, Persistence, Result, WallClock};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::broker::{Role, Short};
use crate::connection::Connection;
use crate::core::ClusterCore;
use crate::line::Dialer;
use crate::metadata::Metadata;
use crate::signals::Asked;
use crate::tasks::closed;
use crate::timing::Timing;
use crate::upkeep::Upkeep;
use crate::users::{ClusterUser, EndStage};
use crate::wanted::Scope;

/// A handle on a cluster. Clones share metadata and connections.
///
/// The connections end with [`close`](Self::close), or when the last clone is dropped.
#[derive(Clone)]
pub struct Cluster {
    /// The metadata and the connections.
    core: Arc<ClusterCore>,
    /// The background tasks that keep `core` current. They hold it weakly.
    upkeep: Arc<Upkeep>,
}

impl Cluster {
    pub(crate) async fn start(
        bootstrap: Vec<Address>,
        dialer: Arc<Dialer>,
        timing: Timing,
    ) -> Result<Self> {
        let cluster = Self {
            core: Arc::new(ClusterCore::new(bootstrap, dialer, timing)),
            upkeep: Arc::default(),
        };
        cluster.first_contact().await?;
        cluster.keep_up();
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
        let no_topics = Scope::Wanted(BTreeSet::new());
        let trying = async {
            let mut attempt = 0;
            loop {
                match self.core.renew(&no_topics, false).await {
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
                tokio::time::sleep(self.core.timing.retry.delay(attempt)).await;
                attempt += 1;
            }
        };
        let limit = self.core.timing.api_timeout;
        match timeout(limit, trying).await {
            Ok(ended) => ended,
            Err(_) => Err(last.unwrap_or_else(|| {
                let what = format!("no broker answered within {limit:?}");
                let error = Error::new(ErrorKind::Timeout, what).setting("bootstrap.servers");
                let first = self.core.bootstrap.iter().take(1);
                first.fold(error, Error::address)
            })),
        }
    }

    /// Returns the current metadata. Cheap. Hold it for one decision, then ask again.
    #[must_use]
    pub fn metadata(&self) -> Arc<Metadata> {
        self.core.metadata.load_full()
    }

    /// Returns a watch that changes whenever the metadata does. Its value counts the changes.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.core.watch()
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
        self.keep_up();
        let broker = self.core.broker(node)?;
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
        let broker = self.core.broker(node)?;
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

    /// Takes a connection to the broker that can be asked soonest. Skips brokers that cannot be
    /// reached.
    pub(crate) async fn any_connection(&self) -> Result<Object<Short>> {
        let (_, connection) = self.any_connection_but(&[]).await?;
        Ok(connection)
    }

    /// Like [`any_connection`](Self::any_connection), but uses a broker in `silent` only if there
    /// is no other.
    pub(crate) async fn any_connection_but(
        &self,
        silent: &[NodeId],
    ) -> Result<(NodeId, Object<Short>)> {
        let mut last = None;
        let mut nodes = self.core.by_load();
        nodes.sort_by_key(|node| silent.contains(node));
        for node in nodes {
            match self.core.broker(node)?.check_out().await {
                Ok(connection) => return Ok((node, connection)),
                Err(error) if error.kind() == ErrorKind::Closed => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        self.request_refresh();
        Err(last.unwrap_or_else(|| {
            if self.is_closed() {
                return closed();
            }
            Error::new(ErrorKind::Transport, "no broker of the cluster is known")
                .with_persistence(Persistence::NotWritten)
        }))
    }

    /// Returns the observers that receive the events of this handle.
    #[must_use]
    pub fn observers(&self) -> &Observers {
        &self.core.dialer.options.observers
    }

    /// Returns the largest accepted answer, in bytes.
    #[must_use]
    pub fn max_frame(&self) -> usize {
        self.core.dialer.options.max_frame
    }

    /// Returns the longest time that an answer may take, `request.timeout.ms`.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.core.dialer.options.request_timeout
    }

    /// Returns the longest time that an operation with its retries may take,
    /// `default.api.timeout.ms`.
    #[must_use]
    pub fn api_timeout(&self) -> Duration {
        self.core.timing.api_timeout
    }

    /// Returns the wall clock that all users of the cluster read.
    #[must_use]
    pub fn clock(&self) -> &WallClock {
        &self.core.dialer.options.clock
    }

    /// Returns the waits between attempts, `retry.backoff.ms`.
    #[must_use]
    pub fn backoff(&self) -> milena_core::Backoff {
        self.core.timing.retry
    }

    /// Returns true if [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.core.signals.closing.is_cancelled()
    }

    /// Ends every connection and task of this handle and its clones. Requests without an answer
    /// fail.
    ///
    /// Other handles are not affected, even on the same cluster.
    ///
    /// # Cancel safety
    /// If the future is dropped, everything still ends.
    pub async fn close(&self) {
        // Report the end before the wait below, because the caller may drop this future while it
        // waits.
        self.core.end();
        self.core.dialer.home.tasks.close().await;
    }

    /// Adds a user that [`end_users`](Self::end_users) will end if it still exists then.
    pub fn add_user(&self, stage: EndStage, user: Weak<dyn ClusterUser>) {
        self.core.users.add(stage, user);
    }

    /// Ends all users in order, stage by stage. The users of one stage end concurrently.
    /// Connections stay open.
    ///
    /// # Cancel safety
    /// If the future is dropped, users that have begun to end continue to end.
    pub async fn end_users(&self) {
        self.core.users.end().await;
    }

    /// Sends each broker a small request at the interval `every`, at least 100 ms, until the
    /// cluster is closed or its last handle is dropped. Observers receive the events of these
    /// requests, with their times and failures.
    pub fn keep_probing(&self, every: Duration) {
        self.upkeep.probe_every(every, &self.core);
    }

    /// Starts the background tasks again if their runtime has ended.
    pub(crate) fn keep_up(&self) {
        self.upkeep.keep_up(&self.core);
    }

    /// Returns the state that the clones share.
    pub(crate) fn core(&self) -> &Arc<ClusterCore> {
        &self.core
    }

    /// Requests a metadata refresh and does not wait. Several requests become one refresh.
    ///
    /// Refreshes that bring nothing new are spaced further and further apart, up to
    /// `retry.backoff.max.ms`. A refresh that fails is tried again.
    pub fn request_refresh(&self) {
        self.core.signals.ask_whole();
        self.keep_up();
    }

    /// Refreshes the metadata. Waits for the end of a refresh that starts after this call.
    ///
    /// # Errors
    /// The reason why no broker could be asked.
    ///
    /// # Cancel safety
    /// If the future is dropped, the refresh continues.
    pub async fn refresh(&self) -> Result<()> {
        let asked = self.core.signals.ask_whole();
        self.served(asked).await
    }

    /// Waits until the refresh `asked` has ended, at most the API timeout.
    pub(crate) async fn served(&self, asked: Asked) -> Result<()> {
        self.keep_up();
        let served = self.core.signals.served(asked);
        match timeout(self.api_timeout(), served).await {
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
            .field("bootstrap", &self.core.bootstrap)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
