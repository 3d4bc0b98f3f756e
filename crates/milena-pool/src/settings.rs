//! The builder of a cluster handle: Kafka's keys, their defaults and their limits.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Address, Backoff, Error, ErrorKind, Observer, Observers, Result, Timestamp, WallClock,
};

use crate::cluster::Cluster;
use crate::connect::Connect;
use crate::connection::Home;
use crate::handshake::HandshakeStep;
use crate::line::Dialer;
use crate::options::ConnectionOptions;
use crate::tcp::TcpConnect;
use crate::timing::Timing;

/// Settings of a [`Cluster`].
#[must_use]
pub struct ClusterBuilder {
    /// The bootstrap addresses as text. An item may hold several addresses, separated by commas.
    bootstrap: Vec<String>,
    /// Opens the streams.
    connector: Arc<dyn Connect>,
    /// The address map.
    route: Arc<dyn Fn(&Address) -> Address + Send + Sync>,
    /// The settings of each connection.
    options: ConnectionOptions,
    /// The waits between dials to one broker.
    reconnect: Backoff,
    /// Timeouts and intervals of the handle.
    timing: Timing,
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
}

impl ClusterBuilder {
    fn new(bootstrap: Vec<String>) -> Self {
        Self {
            bootstrap,
            connector: Arc::new(TcpConnect::new()),
            route: Arc::new(Address::clone),
            options: ConnectionOptions::default(),
            reconnect: Backoff::new(Duration::from_millis(50), Duration::from_secs(1)),
            timing: Timing::default(),
        }
    }

    /// Sets the addresses that reach the cluster, each `host:port`. Replaces the addresses set
    /// before.
    pub fn bootstrap<I>(mut self, addresses: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.bootstrap = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// `client.id`: the name in each request, for logs and quotas of the broker. Default `milena`.
    pub fn client_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.options.client_id = Some(id.into());
        self
    }

    /// Sets how streams are opened. Default [`TcpConnect`].
    pub fn connector(mut self, connector: impl Connect) -> Self {
        self.connector = Arc::new(connector);
        self
    }

    /// Dials other addresses than the advertised ones. For brokers behind a tunnel or a port
    /// forward, whose advertised addresses this client cannot reach. By default each address is
    /// dialed as it is.
    pub fn address_map(
        mut self,
        map: impl Fn(&Address) -> Address + Send + Sync + 'static,
    ) -> Self {
        self.route = Arc::new(map);
        self
    }

    /// `request.timeout.ms`: the longest time for an answer. Default 30 s, as in Kafka's clients.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.options.request_timeout = timeout;
        self
    }

    /// `socket.connection.setup.timeout.ms`: the longest time for dialing and handshake. Default 10
    /// s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options.connect_timeout = timeout;
        self
    }

    /// `default.api.timeout.ms`: the longest time for an operation with its retries, and for the
    /// first contact. Default 60 s, as in Kafka's clients.
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.timing.api_timeout = timeout;
        self
    }

    /// `metadata.max.age.ms`: the age at which metadata is refreshed without a request. Default 5
    /// min.
    pub fn metadata_max_age(mut self, age: Duration) -> Self {
        self.timing.metadata_max_age = age;
        self
    }

    /// `metadata.max.idle.ms`: the metadata of a topic that nothing uses for that long is no longer
    /// asked for. Default 5 min, like Kafka's producer. The topic is removed with the next refresh
    /// of the metadata of all topics ([`metadata_max_age`](Self::metadata_max_age)).
    pub fn metadata_max_idle(mut self, idle: Duration) -> Self {
        self.timing.metadata_max_idle = idle;
        self
    }

    /// `connections.max.idle.ms`: a connection without requests for that long is closed. Default 9
    /// min, because brokers close idle connections after 10 min.
    pub fn connections_max_idle(mut self, idle: Duration) -> Self {
        self.options.max_idle = idle;
        self
    }

    /// `retry.backoff.ms` and `retry.backoff.max.ms`: the waits between attempts of an operation
    /// and between refreshes. Default 100 ms to 1 s, with jitter (KIP-580).
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.timing.retry = backoff;
        self
    }

    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`: the waits between dials to one
    /// broker. Default 50 ms to 1 s, with jitter.
    pub fn reconnect_backoff(mut self, backoff: Backoff) -> Self {
        self.reconnect = backoff;
        self
    }

    /// Sets the observers that receive the events of connections and requests. Default none.
    pub fn observers(mut self, observers: Observers) -> Self {
        self.options.observers = observers;
        self
    }

    /// Adds an observer.
    pub fn add_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.options.observers = self.options.observers.with(observer);
        self
    }

    /// Sets the wall clock of the producers, consumers and admin clients that share the cluster.
    ///
    /// Default the system clock. A test with a paused runtime clock passes a clock that follows it.
    /// Timers always follow the runtime's clock.
    pub fn clock(mut self, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.options.clock = WallClock::new(read);
        self
    }

    /// The largest answer accepted, in bytes. Default 100 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.options.max_frame = bytes;
        self
    }

    /// Sets the steps of the handshake, in order. Default ApiVersions alone. TLS belongs before it,
    /// SASL after it.
    pub fn handshake(mut self, steps: Vec<Arc<dyn HandshakeStep>>) -> Self {
        self.options.steps = steps;
        self
    }

    /// Connects to the cluster. Resolves once the first metadata has arrived, within the API
    /// timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an address or a setting that cannot be used. Otherwise the error
    /// of the last attempt, whose text names every address tried and its failure.
    ///
    /// # Cancel safety
    /// If the future is dropped, everything that was started ends.
    pub async fn connect(self) -> Result<Cluster> {
        let bootstrap = parse(&self.bootstrap)?;
        for (key, value) in [
            ("request.timeout.ms", self.options.request_timeout),
            (
                "socket.connection.setup.timeout.ms",
                self.options.connect_timeout,
            ),
            ("default.api.timeout.ms", self.timing.api_timeout),
            ("metadata.max.age.ms", self.timing.metadata_max_age),
            ("metadata.max.idle.ms", self.timing.metadata_max_idle),
            ("connections.max.idle.ms", self.options.max_idle),
        ] {
            if value.is_zero() || value > LONGEST {
                let what = format!("{value:?} cannot be used; give more than 0 and at most a year");
                return Err(Error::new(ErrorKind::Config, what).setting(key));
            }
        }
        let dialer = Arc::new(Dialer {
            connector: self.connector,
            route: self.route,
            options: self.options,
            backoff: self.reconnect,
            home: Home::default(),
        });
        Cluster::start(bootstrap, dialer, self.timing).await
    }
}

impl std::fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = self.bootstrap.iter().map(|text| Address::redacted(text));
        let shown: Vec<_> = shown.collect();
        f.debug_struct("ClusterBuilder")
            .field("bootstrap", &shown)
            .field("options", &self.options)
            .field("timing", &self.timing)
            .finish_non_exhaustive()
    }
}

/// Reads the addresses. An item may hold several, separated by commas, as in Kafka's own settings.
fn parse(entries: &[String]) -> Result<Vec<Address>> {
    let mut addresses: Vec<Address> = Vec::new();
    for entry in entries {
        for address in Address::parse_list(entry)? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    if addresses.is_empty() {
        let what = "no broker address is given; write at least one host:port";
        return Err(Error::new(ErrorKind::Config, what).setting("bootstrap.servers"));
    }
    Ok(addresses)
}

/// The largest setting. Adding it to a point in time cannot overflow.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_may_hold_several_addresses() {
        let parsed = parse(&["a:1, b:2".to_owned(), "a:1".to_owned()]).unwrap();
        let shown: Vec<_> = parsed.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["a:1", "b:2"]);
    }

    #[test]
    fn no_address_is_refused_by_the_setting() {
        let error = parse(&[String::new()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("bootstrap.servers"), "{error}");
    }
}
