//! The builder of a client: where the cluster is, and what holds for all that share it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Address, Backoff, Observer, Recorder, Result};
#[cfg(feature = "health")]
use milena_health::Health;
#[cfg(feature = "metrics")]
use milena_metrics::Metrics;
use milena_pool::{Cluster, ClusterBuilder, Connect};

use crate::client::Client;
use crate::config::Settings;

/// Sets up a [`Client`]. Begun by [`Client::builder`].
#[must_use = "nothing happens before `connect`"]
pub struct ClientBuilder {
    bootstrap: Vec<String>,
    // Each setter in turn, since the cluster's builder begins with the addresses.
    cluster: ClusterBuilder,
    group: Option<Arc<str>>,
    settings: Settings,
    recorder: Option<Arc<dyn Recorder>>,
    #[cfg(feature = "health")]
    health: Vec<Health>,
    #[cfg(feature = "metrics")]
    metrics: Vec<Metrics>,
}

impl ClientBuilder {
    pub(crate) fn new() -> Self {
        Self {
            bootstrap: Vec::new(),
            cluster: Cluster::builder(Vec::<String>::new()),
            group: None,
            settings: Settings::default(),
            recorder: None,
            #[cfg(feature = "health")]
            health: Vec::new(),
            #[cfg(feature = "metrics")]
            metrics: Vec::new(),
        }
    }

    /// `bootstrap.servers`: brokers of the cluster, `host:port` each, one or several, in a list or with commas between; required.
    ///
    /// One that answers is enough, the others are learnt from it. Called again, it adds.
    ///
    /// ```
    /// # use milena_client::Client;
    /// let one = Client::builder().bootstrap("localhost:9092");
    /// let several = Client::builder().bootstrap("kafka-1:9092, kafka-2:9092");
    /// let list = Client::builder().bootstrap(["kafka-1:9092", "[::1]:9092"]);
    /// # let _ = (one, several, list);
    /// ```
    pub fn bootstrap(mut self, servers: impl Bootstrap) -> Self {
        for entry in servers.servers() {
            let parts = entry.split(',').map(str::trim);
            let parts = parts.filter(|part| !part.is_empty()).map(str::to_owned);
            self.bootstrap.extend(parts);
        }
        self
    }

    /// `client.id`: the name under which brokers log and meter this client. Default `milena`.
    pub fn client_id(self, id: impl Into<Arc<str>>) -> Self {
        self.with(|cluster| cluster.client_id(id))
    }

    /// `group.id`: the group that [`Client::group`] names, for programs that leave it to their settings. Default none.
    pub fn group(mut self, group: impl Into<Arc<str>>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// `request.timeout.ms`: how long a broker may take for an answer. Default 30 s, as Kafka's clients.
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.with(|cluster| cluster.request_timeout(timeout))
    }

    /// `socket.connection.setup.timeout.ms`: how long dialing a broker and its handshake may take. Default 10 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|cluster| cluster.connect_timeout(timeout))
    }

    /// `default.api.timeout.ms`: how long an operation with its retries may take, [`connect`](Self::connect) included. Default 60 s,
    /// as Kafka's clients: a cluster that is just starting is waited for.
    pub fn api_timeout(self, timeout: Duration) -> Self {
        self.with(|cluster| cluster.api_timeout(timeout))
    }

    /// `metadata.max.age.ms`: how old the picture of the cluster may grow. Default 5 min.
    pub fn metadata_max_age(self, age: Duration) -> Self {
        self.with(|cluster| cluster.metadata_max_age(age))
    }

    /// `connections.max.idle.ms`: how long a connection may be without requests. Default 9 min, below the 10 min of brokers.
    pub fn connections_max_idle(self, idle: Duration) -> Self {
        self.with(|cluster| cluster.connections_max_idle(idle))
    }

    /// The largest answer accepted, in bytes. Default 100 MiB; above what consumers ask for at once (`fetch.max.bytes`), and above the
    /// largest batch of a topic, which a broker sends whole whatever was asked for.
    pub fn max_frame(self, bytes: usize) -> Self {
        self.with(|cluster| cluster.max_frame(bytes))
    }

    /// `retry.backoff.ms` and `retry.backoff.max.ms`. Default 100 ms to 1 s, jittered (KIP-580).
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.with(|cluster| cluster.backoff(backoff))
    }

    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`. Default 50 ms to 1 s, jittered.
    pub fn reconnect_backoff(self, backoff: Backoff) -> Self {
        self.with(|cluster| cluster.reconnect_backoff(backoff))
    }

    /// Dials another address in place of some: for brokers behind a tunnel or a port forward. Default every address as it is.
    pub fn address_map(self, map: impl Fn(&Address) -> Address + Send + Sync + 'static) -> Self {
        self.with(|cluster| cluster.address_map(map))
    }

    /// How streams to brokers are opened; a closure from [`Address`] to a stream will do. Default TCP.
    pub fn connector(self, connector: impl Connect) -> Self {
        self.with(|cluster| cluster.connector(connector))
    }

    /// Adds one who is told of what all that share the client do. Default nobody.
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        self.with(|cluster| cluster.observer(observer))
    }

    /// Who counts records and attempts of consumers that set no [recorder](milena_consumer::ConsumerBuilder::recorder) of their own.
    /// Default nobody.
    pub fn recorder(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.recorder = Some(recorder);
        self
    }

    /// Counts all that this client, its producers, consumers and handlers do.
    ///
    /// Handlers are counted by record, and by attempt of the driver; where a retry layer tries again, put a
    /// [`MetricsLayer`](milena_middleware::MetricsLayer) inside it.
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
        self.metrics.push(metrics.clone());
        self.observer(Arc::new(metrics.clone()))
            .recorder(Arc::new(metrics.clone()))
    }

    /// Has this client, its producers, consumers and handlers judged by `health`, and each broker asked for a sign of life now and
    /// then. Closing the client makes it not ready; where clients share a health, closing the last of them.
    ///
    /// ```no_run
    /// # async fn run() -> milena_core::Result<()> {
    /// # use milena_client::{Client, health::Health};
    /// let health = Health::new();
    /// let server = health.http().serve().await?; // tells that it is starting
    /// let client = Client::builder().bootstrap("localhost:9092").health(&health).connect().await?;
    /// // … and after the work:
    /// client.close().await; // not ready, still alive
    /// server.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "health")]
    pub fn health(mut self, health: &Health) -> Self {
        self.health.push(health.clone());
        self.observer(Arc::new(health.clone()))
    }

    /// Reaches the cluster; resolves with its first answer, within the API timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a setting that cannot be used, by its Kafka name. Where nobody
    /// answers: why, with every address that was tried; a peer that speaks HTTP or TLS is named as such.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, everything started is ended.
    pub async fn connect(self) -> Result<Client> {
        let cluster = self.cluster.bootstrap(self.bootstrap).connect().await?;
        #[cfg(feature = "metrics")]
        for metrics in &self.metrics {
            metrics.watch(cluster.gauges());
        }
        let client = Client::new(cluster, self.group, self.settings, self.recorder);
        #[cfg(feature = "health")]
        let client = client.with_health(&self.health);
        Ok(client)
    }

    /// As [`bootstrap`](Self::bootstrap), in place of the addresses so far.
    pub(crate) fn only_bootstrap(mut self, servers: Vec<String>) -> Self {
        self.bootstrap.clear();
        self.bootstrap(servers)
    }

    pub(crate) fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    fn with(mut self, set: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Self {
        self.cluster = set(self.cluster);
        self
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("bootstrap", &self.bootstrap)
            .field("group", &self.group)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// One address or several, as [`ClientBuilder::bootstrap`] takes them.
pub trait Bootstrap {
    /// The entries; each may hold several with commas between.
    fn servers(self) -> Vec<String>;
}

impl Bootstrap for &str {
    fn servers(self) -> Vec<String> {
        vec![self.to_owned()]
    }
}

impl Bootstrap for String {
    fn servers(self) -> Vec<String> {
        vec![self]
    }
}

impl Bootstrap for &String {
    fn servers(self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl<S: Into<String>> Bootstrap for Vec<S> {
    fn servers(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<S: Into<String>, const N: usize> Bootstrap for [S; N] {
    fn servers(self) -> Vec<String> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<S: AsRef<str>> Bootstrap for &[S] {
    fn servers(self) -> Vec<String> {
        self.iter().map(|entry| entry.as_ref().to_owned()).collect()
    }
}
