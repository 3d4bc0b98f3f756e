//! The builder of a client. Holds the addresses of the cluster and the settings that everything
//! made by the client shares.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_config::Drafts;
use milena_core::{Address, Backoff, Observer, Recorder, Result, Timestamp};
#[cfg(feature = "health")]
use milena_health::Health;
#[cfg(feature = "metrics")]
use milena_metrics::Metrics;
use milena_pool::{ClusterBuilder, Connect};

use crate::apply;
use crate::bootstrap::Bootstrap;
use crate::client::Client;
use crate::draft::ClusterDraft;

/// A builder of a [`Client`]. Made by [`Client::builder`].
#[must_use = "nothing happens before `connect`"]
pub struct ClientBuilder {
    /// The settings of the client itself.
    draft: ClusterDraft,
    /// The settings from files, environment and properties. Those of the client itself are part of
    /// `draft` already, and stay here for people.
    settings: Drafts,
    /// The recorder for consumers without their own. `None` for none.
    recorder: Option<Arc<dyn Recorder>>,
    /// The health that watches the client. `None` for none.
    #[cfg(feature = "health")]
    health: Option<Health>,
    /// The metrics that count the client's work. `None` for none.
    #[cfg(feature = "metrics")]
    metrics: Option<Metrics>,
}

impl Client {
    /// Creates a builder of a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }
}

impl ClientBuilder {
    fn new() -> Self {
        Self {
            draft: ClusterDraft::new(),
            settings: Drafts::default(),
            recorder: None,
            #[cfg(feature = "health")]
            health: None,
            #[cfg(feature = "metrics")]
            metrics: None,
        }
    }

    /// Sets `bootstrap.servers`, the brokers of the cluster as `host:port`. Required.
    ///
    /// Takes one or several addresses, in a list or with commas between. One that answers is
    /// enough, because it names the others. A later call replaces the addresses of an earlier one,
    /// of a file or of the environment. A text without an address in it changes nothing.
    ///
    /// An address may begin with `PLAINTEXT://`. An address for TLS or SASL, such as `SASL_SSL://`,
    /// is refused, because milena would connect to it in clear text.
    ///
    /// ```
    /// # use milena_client::Client;
    /// let one = Client::builder().bootstrap("localhost:9092");
    /// let several = Client::builder().bootstrap("kafka-1:9092, kafka-2:9092");
    /// let list = Client::builder().bootstrap(["kafka-1:9092", "[::1]:9092"]);
    /// # let _ = (one, several, list);
    /// ```
    pub fn bootstrap(mut self, servers: impl Bootstrap) -> Self {
        self.draft = self.draft.bootstrap(servers);
        self
    }

    /// Adds brokers to those of [`bootstrap`](Self::bootstrap).
    pub fn add_bootstrap(mut self, servers: impl Bootstrap) -> Self {
        self.draft = self.draft.add_bootstrap(servers);
        self
    }

    /// Sets the wall clock of everything that this client makes. Default the system's clock.
    ///
    /// It gives records their timestamps, and measures how long they are held and how old they are.
    /// A test with a paused clock sets one that follows the paused clock. Timers follow the
    /// runtime.
    pub fn clock(self, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.with(|cluster| cluster.clock(read))
    }

    /// Sets `client.id`, the name of this client in the logs and quotas of brokers. Default
    /// `milena`.
    pub fn client_id(self, id: impl Into<Arc<str>>) -> Self {
        self.with(|cluster| cluster.client_id(id))
    }

    /// Sets `group.id`, the group that [`Client::group`] returns, for programs that take the group
    /// from their settings. Default none.
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.draft = self.draft.group(group);
        self
    }

    /// Sets `request.timeout.ms`, the longest wait for a broker's answer. Default 30 s, like
    /// Kafka's clients.
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.with(|cluster| cluster.request_timeout(timeout))
    }

    /// Sets `socket.connection.setup.timeout.ms`, the longest time to connect to a broker and to
    /// end the handshake. Default 10 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|cluster| cluster.connect_timeout(timeout))
    }

    /// Sets `default.api.timeout.ms`, the longest time of an operation with its retries, including
    /// [`connect`](Self::connect). Default 60 s, like Kafka's clients, so that a client can wait
    /// for a cluster that is just starting.
    pub fn api_timeout(self, timeout: Duration) -> Self {
        self.with(|cluster| cluster.api_timeout(timeout))
    }

    /// Sets `metadata.max.age.ms`, the largest age of the metadata of the cluster. Default 5 min.
    pub fn metadata_max_age(self, age: Duration) -> Self {
        self.with(|cluster| cluster.metadata_max_age(age))
    }

    /// Sets `metadata.max.idle.ms`, the time after which the client no longer asks for the metadata
    /// of an unused topic. Default 5 min, like Kafka's producer. The topic is removed with the next
    /// refresh of the metadata of all topics ([`metadata_max_age`](Self::metadata_max_age)).
    pub fn metadata_max_idle(self, idle: Duration) -> Self {
        self.with(|cluster| cluster.metadata_max_idle(idle))
    }

    /// Sets `connections.max.idle.ms`, the time without requests after which a connection is
    /// closed. Default 9 min, below the 10 min of brokers.
    pub fn connections_max_idle(self, idle: Duration) -> Self {
        self.with(|cluster| cluster.connections_max_idle(idle))
    }

    /// Sets the largest answer that is accepted, in bytes. Default 100 MiB.
    ///
    /// It must be larger than the bytes that consumers ask for at once (`fetch.max.bytes`). It must
    /// also be larger than the largest batch of a topic, because a broker sends a batch whole even
    /// if less was asked for.
    pub fn max_frame(self, bytes: usize) -> Self {
        self.with(|cluster| cluster.max_frame(bytes))
    }

    /// Sets `retry.backoff.ms` and `retry.backoff.max.ms`. Default 100 ms to 1 s, with jitter
    /// (KIP-580).
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|cluster| cluster.backoff(backoff))
    }

    /// Sets `reconnect.backoff.ms` and `reconnect.backoff.max.ms`. Default 50 ms to 1 s, with
    /// jitter.
    pub fn reconnect_backoff(self, backoff: Backoff) -> Self {
        self.with(|cluster| cluster.reconnect_backoff(backoff))
    }

    /// Sets a function that replaces broker addresses before they are dialed. For brokers behind a
    /// tunnel or a port forward. Default no replacement.
    pub fn address_map(self, map: impl Fn(&Address) -> Address + Send + Sync + 'static) -> Self {
        self.with(|cluster| cluster.address_map(map))
    }

    /// Sets how streams to brokers are opened. Takes a closure from [`Address`] to a stream.
    /// Default TCP.
    pub fn connector(self, connector: impl Connect) -> Self {
        self.with(|cluster| cluster.connector(connector))
    }

    /// Adds an observer of the events of the client and of everything made by it. Default none.
    pub fn add_observer(self, observer: Arc<dyn Observer>) -> Self {
        self.with(|cluster| cluster.add_observer(observer))
    }

    /// Sets the recorder that counts records and attempts of consumers without a
    /// [recorder](milena_consumer::ConsumerBuilder::recorder) of their own. Default none.
    pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Counts everything that this client, its producers, consumers and handlers do.
    ///
    /// Handlers are counted by record, and by attempt of the driver. If a retry layer repeats
    /// attempts, put a [`MetricsLayer`](milena_middleware::MetricsLayer) inside it.
    ///
    /// ```
    /// # use milena_client::{Client, metrics::Metrics};
    /// let metrics = Metrics::new();
    /// let client = Client::builder().bootstrap("localhost:9092").metrics(&metrics);
    /// println!("{}", metrics.text());
    /// # let _ = client;
    /// ```
    #[cfg(feature = "metrics")]
    pub fn metrics(mut self, metrics: &Metrics) -> Self {
        self.metrics = Some(metrics.clone());
        self.recorder(Arc::new(metrics.clone()))
    }

    /// Reports the state of this client, its producers, consumers and handlers to `health`, and
    /// probes each broker regularly.
    ///
    /// Closing the client makes it not ready. If several clients share a health, closing the last
    /// of them does.
    ///
    /// ```no_run
    /// # async fn run() -> milena_core::Result<()> {
    /// # use milena_client::{Client, health::Health};
    /// let health = Health::new();
    /// let server = health.http().serve().await?; // reports that it is starting
    /// let client = Client::builder().bootstrap("localhost:9092").health(&health).connect().await?;
    /// // … and after the work:
    /// client.close().await; // not ready, still alive
    /// server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "health")]
    pub fn health(mut self, health: &Health) -> Self {
        self.health = Some(health.clone());
        self
    }

    /// Connects to the cluster. Resolves with the first answer of a broker, within the API timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for an invalid setting, by its Kafka
    /// name. If no broker answers, the error has the reason and every address that was tried. A
    /// peer that speaks HTTP or TLS is named as such.
    ///
    /// # Cancel safety
    /// If the future is dropped, everything that it started is ended.
    pub async fn connect(self) -> Result<Client> {
        let Self {
            draft, settings, ..
        } = self;
        let shown = draft.shown_bootstrap().join(", ");
        let cluster = draft.cluster.bootstrap(draft.bootstrap);
        #[cfg(feature = "metrics")]
        let cluster = match &self.metrics {
            Some(metrics) => cluster.add_observer(Arc::new(metrics.clone())),
            None => cluster,
        };
        #[cfg(feature = "health")]
        let health = self.health.map(|health| (health.join(), health));
        #[cfg(feature = "health")]
        let cluster = match &health {
            Some((joined, _)) => cluster.add_observer(joined.observer()),
            None => cluster,
        };
        tracing::info!(bootstrap = shown, "the client connects");
        let cluster = cluster.connect().await?;
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &self.metrics {
            metrics.watch(cluster.gauges());
        }
        let client = Client::new(cluster, draft.group, settings, self.recorder);
        #[cfg(feature = "health")]
        let client = client.with_health(health);
        Ok(client)
    }

    /// Applies the settings of a source.
    pub(crate) fn configure(mut self, given: Drafts) -> Self {
        self.draft = apply::shared(&given.client, self.draft);
        self.settings.merge(given);
        self
    }

    fn with(mut self, set: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Self {
        self.draft = self.draft.with(set);
        self
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("bootstrap", &self.draft.shown_bootstrap())
            .field("group", &self.draft.group)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
