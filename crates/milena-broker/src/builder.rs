//! The builder of clusters.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{Address, CancelToken, Error, ErrorKind, Result, Timestamp, WallClock};

use crate::broker::Broker;
use crate::cluster::{Cluster, NewTopic};
use crate::listen;
use crate::node::Node;
use crate::settings::Settings;
use crate::topic::TopicConfig;

/// The description of a cluster of embedded brokers, which starts it.
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `start`"]
pub struct BrokerBuilder {
    /// The number of brokers.
    brokers: usize,
    /// The address to listen at. `None` serves only connections in memory.
    listen: Option<String>,
    /// The host that clients connect to. `None` takes the one listened at.
    advertised_host: Option<String>,
    /// The topics to create at the start.
    topics: Vec<Wish>,
    /// The settings of the cluster.
    settings: Settings,
    /// The rack of each broker in turn. Brokers beyond its end have none.
    racks: Vec<String>,
    /// The default number of replicas. `None` takes 3, or all brokers if there are fewer.
    replication: Option<i16>,
}

/// A topic to create at the start.
#[derive(Clone, Debug)]
struct Wish {
    /// The name.
    name: String,
    /// The number of partitions.
    partitions: i32,
    /// The settings, as keys and values.
    configs: Vec<(String, String)>,
}

impl Default for BrokerBuilder {
    fn default() -> Self {
        Self {
            brokers: 1,
            listen: None,
            advertised_host: None,
            topics: Vec::new(),
            settings: Settings::default(),
            racks: Vec::new(),
            replication: None,
        }
    }
}

impl BrokerBuilder {
    /// Sets the number of brokers. Their node ids count from 1. Default 1.
    pub fn brokers(mut self, count: usize) -> Self {
        self.brokers = count;
        self
    }

    /// Listens on TCP at this address, given as `host:port`. With port 0 each broker takes a free
    /// port. With another port, each broker takes the next one.
    ///
    /// Default none. The brokers can then only be reached in memory.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Sets the host that clients connect to, instead of the one listened at.
    pub fn advertised_host(mut self, host: impl Into<String>) -> Self {
        self.advertised_host = Some(host.into());
        self
    }

    /// Creates a topic at the start.
    pub fn topic(self, name: impl Into<String>, partitions: u32) -> Self {
        self.topic_with(name, partitions, [])
    }

    /// Creates a topic at the start, with settings such as `("max.message.bytes", "1000")`.
    pub fn topic_with<'a>(
        mut self,
        name: impl Into<String>,
        partitions: u32,
        configs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        self.topics.push(Wish {
            name: name.into(),
            partitions: i32::try_from(partitions).unwrap_or(i32::MAX),
            configs: configs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        });
        self
    }

    /// Sets the default number of replicas of a partition. Default 3, or all brokers if there are
    /// fewer.
    pub fn replication_factor(mut self, replicas: u16) -> Self {
        self.replication = Some(i16::try_from(replicas).unwrap_or(i16::MAX));
        self
    }

    /// Sets `broker.rack` of each broker in turn. With racks, a consumer that names its rack is
    /// sent to a replica there, and followers in sync serve reads, as with Kafka's rack-aware
    /// replica selector (KIP-392). Default none, and only leaders serve reads.
    pub fn racks<R: Into<String>>(mut self, racks: impl IntoIterator<Item = R>) -> Self {
        self.racks = racks.into_iter().map(Into::into).collect();
        self
    }

    /// Sets `auto.create.topics.enable`, with which Metadata creates unknown topics. Default no.
    pub fn auto_create_topics(mut self, yes: bool) -> Self {
        self.settings.auto_create_topics = yes;
        self
    }

    /// Sets `num.partitions`, the number of partitions of a topic created without one. Default 1.
    pub fn default_partitions(mut self, partitions: u32) -> Self {
        self.settings.default_partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        self
    }

    /// Sets `message.max.bytes`, the largest batch in bytes unless the topic has its own limit.
    /// Default 1 MiB + 12, as in Kafka.
    pub fn message_max_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_message_bytes = bytes;
        self
    }

    /// Keeps about this many bytes of each partition and drops the oldest batches. By default
    /// everything is kept.
    pub fn retention_bytes(mut self, bytes: usize) -> Self {
        self.settings.retention_bytes = Some(bytes);
        self
    }

    /// Sets whether each record of a produced batch is checked, besides header and CRC. Default
    /// yes. Benchmarks turn it off.
    pub fn check_records(mut self, yes: bool) -> Self {
        self.settings.check_records = yes;
        self
    }

    /// Sets the number of requests that the journal keeps. 0 turns it off. Default 4096.
    pub fn journal(mut self, entries: usize) -> Self {
        self.settings.journal_capacity = entries;
        self
    }

    /// Sets `group.initial.rebalance.delay.ms`, the time that an empty group waits for more
    /// members. Default none, for short tests.
    pub fn initial_rebalance_delay(mut self, delay: Duration) -> Self {
        self.settings.initial_rebalance_delay = delay;
        self
    }

    /// Sets `group.min.session.timeout.ms` and its maximum. Default 6 s to 30 min, as in Kafka. A
    /// test that does not pause the clock may lower the minimum, to wait less.
    pub fn session_timeouts(mut self, min: Duration, max: Duration) -> Self {
        self.settings.min_session_timeout = min;
        self.settings.max_session_timeout = max;
        self
    }

    /// Sets the feature level `group.version`. Level 1 serves groups of the consumer protocol
    /// (KIP-848), and level 0 only classic groups. Default 1, as in Kafka 4.
    pub fn group_version(mut self, level: u8) -> Self {
        self.settings.group_version = i16::from(level);
        self
    }

    /// Sets `group.consumer.session.timeout.ms` and `group.consumer.heartbeat.interval.ms`, which
    /// apply to groups of the consumer protocol. Default 45 s and 5 s, as in Kafka.
    pub fn consumer_group_timing(mut self, session: Duration, heartbeat: Duration) -> Self {
        self.settings.consumer_timing = crate::group::Timing {
            session,
            interval: heartbeat,
        };
        self
    }

    /// Sets the number of fetch sessions that a broker keeps. With 0 it gives out none. Default
    /// 1000.
    pub fn max_fetch_sessions(mut self, sessions: usize) -> Self {
        self.settings.max_fetch_sessions = sessions;
        self
    }

    /// Sets `replica.lag.time.max.ms`, after which a stopped follower that lacks records leaves the
    /// in-sync replicas. Default 30 s, as in Kafka.
    pub fn replica_lag_time_max(mut self, time: Duration) -> Self {
        self.settings.replica_lag_time_max = time;
        self
    }

    /// Adds the delays of a real cluster, which are left out by default.
    ///
    /// Brokers know a new topic 100 ms after its creation, and answer UNKNOWN_TOPIC_OR_PARTITION
    /// until then. The first request for a coordinator gets COORDINATOR_NOT_AVAILABLE while
    /// `__consumer_offsets` is created. An empty group waits 3 s for more members
    /// (`group.initial.rebalance.delay.ms`). A program that passes on a strict cluster does not
    /// depend on the speed of the embedded broker.
    pub fn strict(mut self) -> Self {
        self.settings.propagation = PROPAGATION;
        self.settings.initial_rebalance_delay = Duration::from_secs(3);
        self
    }

    /// Sets the clock for append times. By default it is the system's clock. Timers always follow
    /// tokio's clock.
    pub fn clock(mut self, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.settings.clock = WallClock::new(read);
        self
    }

    /// Starts the cluster. Its tasks run on the current tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if a setting, a topic or the listen address is invalid.
    /// [`ErrorKind::Transport`] if the address cannot be bound.
    pub async fn start(mut self) -> Result<Broker> {
        if self.brokers == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                "a cluster needs at least one broker",
            ));
        }
        let all = i16::try_from(self.brokers).unwrap_or(i16::MAX);
        self.settings.default_replication = self.replication.unwrap_or(3.min(all));
        let stop = CancelToken::new();
        let mut nodes = Vec::with_capacity(self.brokers);
        let mut listeners = Vec::new();
        for id in 1..=i32::try_from(self.brokers).unwrap_or(i32::MAX) {
            let (node, listener) = self.node(id, &stop).await?;
            let rack = usize::try_from(id - 1)
                .ok()
                .and_then(|at| self.racks.get(at));
            let node = Arc::new(node.racked(rack));
            listeners.extend(listener.map(|listener| (Arc::clone(&node), listener)));
            nodes.push(node);
        }
        let cluster = Arc::new(Cluster::new(self.settings, nodes, stop));
        let weak = Arc::downgrade(&cluster);
        cluster
            .faults
            .bind(move || weak.upgrade().map(|cluster| cluster.view()));
        cluster.groups.start(&cluster);
        for wish in self.topics {
            make(&cluster, wish)?;
        }
        for (node, listener) in listeners {
            listen::accept(&cluster, &node, listener);
        }
        Ok(Broker::new(cluster))
    }

    /// Makes the broker `id`, and binds its listener if it has one.
    async fn node(
        &self,
        id: i32,
        stop: &CancelToken,
    ) -> Result<(Node, Option<tokio::net::TcpListener>)> {
        let sessions = self.settings.max_fetch_sessions;
        let Some(listen) = &self.listen else {
            // These names cannot be mistaken for hosts on the network.
            let host = self
                .advertised_host
                .clone()
                .unwrap_or_else(|| format!("broker-{id}.memory"));
            return Ok((
                Node::new(id, Address::new(host, 9092), stop, sessions),
                None,
            ));
        };
        let mut at = resolve(listen).await?;
        if at.port() != 0 {
            let port = i32::from(at.port()) + id - 1;
            let port = u16::try_from(port).map_err(|_| {
                config(format!(
                    "the listen address {listen} has no port {port} for broker {id}; choose a lower port"
                ))
            })?;
            at.set_port(port);
        }
        let failed = |error: io::Error| {
            Error::new(
                ErrorKind::Transport,
                format!("cannot listen at {at}: {error}"),
            )
            .with_source(error)
        };
        let listener = listen::bind(at).map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        let host = self
            .advertised_host
            .clone()
            .unwrap_or_else(|| advertised(at));
        let node = Node::new(id, Address::new(host, at.port()), stop, sessions).listening(at);
        Ok((node, Some(listener)))
    }
}

/// Looks up the address to listen at.
async fn resolve(listen: &str) -> Result<SocketAddr> {
    let wrong = |why: &str| config(format!("the listen address {listen}: {why}"));
    let mut found = tokio::net::lookup_host(listen)
        .await
        .map_err(|error| wrong(&error.to_string()))?;
    found.next().ok_or_else(|| wrong("the name has no address"))
}

/// The time that a strict cluster takes to make a new topic known. Real clusters take some tens of
/// milliseconds.
const PROPAGATION: Duration = Duration::from_millis(100);

/// Returns a host that clients on this machine can use.
fn advertised(at: SocketAddr) -> String {
    match at {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => "::1".to_owned(),
        at => at.ip().to_string(),
    }
}

/// Creates a topic at the start.
fn make(cluster: &Cluster, wish: Wish) -> Result<()> {
    let name = wish.name.clone();
    let mut settings = TopicConfig::default();
    for (key, value) in &wish.configs {
        settings
            .set(key, value)
            .map_err(|why| config(why).topic(name.as_str()))?;
    }
    let new = NewTopic {
        name: wish.name,
        partitions: wish.partitions,
        replication: -1,
        placed: Vec::new(),
        config: settings,
        visible_after: Duration::ZERO,
    };
    match cluster.create_topic(new, false) {
        Ok(_) => Ok(()),
        Err((_, why)) => Err(config(why).topic(name.as_str())),
    }
}

fn config(why: String) -> Error {
    Error::new(ErrorKind::Config, why)
}
