//! The parts of the cluster that the sender needs, which are leaders, connections, and a producer
//! id.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use milena_core::{NodeId, Result, TopicName, TopicPartition};
use milena_pool::ClusterUser;
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use crate::send::identity::Identity;

/// A boxed future that can be sent between threads.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A topic as the metadata shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// One entry per partition, true if the partition has a leader.
    pub(crate) led: Vec<bool>,
}

/// The name of one of the producer's connections to a broker. Number 0 always exists, and the
/// others are added under load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkId {
    /// The broker.
    pub(crate) node: NodeId,
    /// The number among the connections to this broker.
    pub(crate) number: u8,
}

impl LinkId {
    /// Names the first connection to a broker.
    pub(crate) const fn first(node: NodeId) -> Self {
        Self { node, number: 0 }
    }
}

/// The changes of the metadata that the sender has not been told of.
pub(crate) struct Changes(Mutex<watch::Receiver<u64>>);

impl Changes {
    pub(crate) fn new(receiver: watch::Receiver<u64>) -> Self {
        Self(Mutex::new(receiver))
    }

    /// Resolves when the metadata changed since the last call of this.
    pub(crate) fn next(&self) -> BoxFuture<()> {
        let mut seen = self.0.lock();
        let mut receiver = seen.clone();
        seen.mark_unchanged();
        Box::pin(async move {
            if receiver.changed().await.is_err() {
                // The cluster is closed, so nothing changes any more.
                std::future::pending::<()>().await;
            }
        })
    }
}

/// The cluster, as the sender sees it.
pub(crate) trait Network: Send + Sync + 'static {
    /// Returns the leader of a partition, as known now.
    fn leader(&self, place: &TopicPartition) -> Option<NodeId>;

    /// Returns true if the cluster reports that a partition, or its topic, does not exist.
    fn is_missing(&self, _place: &TopicPartition) -> bool {
        false
    }

    /// Returns the id of a topic, as known now.
    fn topic_id(&self, topic: &str) -> Option<Uuid>;

    /// Returns a topic, as known now.
    fn shape(&self, topic: &str) -> Option<Shape>;

    /// Returns a topic. Waits up to `limit` for one that is only temporarily unknown.
    fn topic(&self, topic: TopicName, limit: Duration) -> BoxFuture<Result<Shape>>;

    /// Takes over everything that an answer said about the leaders of partitions (KIP-951).
    fn learn(&self, hints: Vec<(TopicPartition, LeaderHint)>, endpoints: &[NodeEndpoint]);

    /// Requests the leaders of a topic's partitions again, soon. Does not wait.
    fn refresh_topic(&self, _topic: &TopicName, reason: &'static str) {
        self.refresh(reason);
    }

    /// Requests fresh metadata, soon. Does not wait.
    fn refresh(&self, reason: &'static str);

    /// Requests fresh metadata, and waits for it. If that fails, the present metadata stays.
    fn renew(&self) -> BoxFuture<()>;

    /// Resolves when the metadata changed since the last call of this.
    fn changed(&self) -> BoxFuture<()>;

    /// Opens a connection for records to a broker.
    fn connect(&self, link: LinkId) -> BoxFuture<Result<Arc<dyn Wire>>>;

    /// Returns true if the cluster is closed, so that nothing can be sent any more.
    /// [`changed`](Self::changed) resolves then, too.
    fn is_closed(&self) -> bool {
        false
    }

    /// Registers the producer, so that the cluster waits for its end before it ends connections.
    fn add_user(&self, _user: Weak<dyn ClusterUser>) {}

    /// Requests a new producer id (InitProducerId, KIP-98).
    fn producer_id(&self) -> BoxFuture<Result<Identity>>;
}

/// One connection for records.
pub(crate) trait Wire: Send + Sync + 'static {
    /// Returns the version of Produce to use.
    fn version(&self) -> Result<i16>;

    /// Sends a Produce request. Its place in the order of requests is fixed when this returns. If
    /// `answered` is false, the future resolves to an empty body once the request was written.
    fn send(
        &self,
        version: i16,
        body: Vec<Bytes>,
        timeout: Duration,
        answered: bool,
    ) -> BoxFuture<Result<Bytes>>;

    /// Sends nothing for `wait`, as the broker asked (KIP-219).
    fn throttle(&self, wait: Duration);

    /// Returns true if nothing more can be sent.
    fn is_closed(&self) -> bool;

    /// Returns the time until which the broker asked for silence (KIP-219).
    fn muted_until(&self) -> Option<Instant>;

    /// Returns the smoothed round-trip time. `None` before the first answer.
    fn srtt(&self) -> Option<Duration>;
}
