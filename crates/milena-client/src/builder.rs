//! The builder of a client: where the cluster is, and what holds for all that share it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Address, Backoff, Observer, Recorder, Result, Timestamp};
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
    health: Option<Health>,
    #[cfg(feature = "metrics")]
    metrics: Option<Metrics>,
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
            health: None,
            #[cfg(feature = "metrics")]
            metrics: None,
        }
    }

    /// `bootstrap.servers`: brokers of the cluster, `host:port` each, one or several, in a list or with commas between; required.
    ///
    /// One that answers is enough, the others are learnt from it. Called again, it replaces: after a file or the
    /// environment, the addresses given here are the only ones. A text without an address in it changes nothing.
    ///
    /// An address may begin with `PLAINTEXT://`. One that asks for TLS or SASL, as `SASL_SSL://`, is refused, since it
    /// would be spoken to in clear text.
    ///
    /// ```
    /// # use milena_client::Client;
    /// let one = Client::builder().bootstrap("localhost:9092");
    /// let several = Client::builder().bootstrap("kafka-1:9092, kafka-2:9092");
    /// let list = Client::builder().bootstrap(["kafka-1:9092", "[::1]:9092"]);
    /// # let _ = (one, several, list);
    /// ```
    pub fn bootstrap(mut self, servers: impl Bootstrap) -> Self {
        let given = written(servers);
        if !given.is_empty() {
            self.bootstrap = given;
        }
        self
    }

    /// Adds brokers to those of [`bootstrap`](Self::bootstrap).
    pub fn add_bootstrap(mut self, servers: impl Bootstrap) -> Self {
        self.bootstrap.extend(written(servers));
        self
    }

    /// The wall clock of everything that this client makes: it stamps records, measures how long they are held and how old they
    /// are. Default the system's; a test in a paused clock gives one that goes with it. Timers follow the runtime.
    pub fn clock(self, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.with(|cluster| cluster.clock(read))
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
    pub fn add_observer(self, observer: Arc<dyn Observer>) -> Self {
        self.with(|cluster| cluster.add_observer(observer))
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
        self.metrics = Some(metrics.clone());
        self.recorder(Arc::new(metrics.clone()))
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
        self.health = Some(health.clone());
        self
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
        let shown = self.shown_bootstrap().join(", ");
        let cluster = self.cluster.bootstrap(self.bootstrap);
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
        let client = Client::new(cluster, self.group, self.settings, self.recorder);
        #[cfg(feature = "health")]
        let client = client.with_health(health);
        Ok(client)
    }

    /// The addresses without names and passwords in them.
    fn shown_bootstrap(&self) -> Vec<String> {
        self.bootstrap
            .iter()
            .map(|text| Address::redacted(text))
            .collect()
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
            .field("bootstrap", &self.shown_bootstrap())
            .field("group", &self.group)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The entries that say something. They are cut into addresses when the client connects.
fn written(servers: impl Bootstrap) -> Vec<String> {
    let mut entries = servers.servers();
    entries.retain(|entry| entry.contains(|c: char| c != ',' && !c.is_whitespace()));
    entries
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
