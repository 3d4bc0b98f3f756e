//! What the sender needs of the cluster, and no more: leaders, connections, a producer id.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use milena_core::{NodeId, Result, TopicName, TopicPartition};
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use tokio::time::Instant;
use uuid::Uuid;

use crate::sequence::Identity;
use crate::user::SenderEnd;

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A topic as the metadata has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Per partition whether it has a leader.
    pub(crate) led: Vec<bool>,
}

/// One of the producer's connections to a broker. Number 0 is always there, the others are for load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LinkId {
    pub(crate) node: NodeId,
    pub(crate) number: u8,
}

impl LinkId {
    /// The connection that a broker is first spoken to on.
    pub(crate) const fn first(node: NodeId) -> Self {
        Self { node, number: 0 }
    }
}

/// The cluster, as the sender sees it.
pub(crate) trait Network: Send + Sync + 'static {
    /// Who leads a partition, as known now.
    fn leader(&self, place: &TopicPartition) -> Option<NodeId>;

    /// Whether the cluster says that a partition, or its topic, is not there.
    fn is_missing(&self, _place: &TopicPartition) -> bool {
        false
    }

    /// The id of a topic, as known now.
    fn topic_id(&self, topic: &str) -> Option<Uuid>;

    /// A topic, as known now.
    fn shape(&self, topic: &str) -> Option<Shape>;

    /// A topic; waits up to `limit` for one that is only temporarily unknown.
    fn topic(&self, topic: TopicName, limit: Duration) -> BoxFuture<Result<Shape>>;

    /// Takes over all that an answer said of the leaders of partitions (KIP-951).
    fn learn(&self, hints: Vec<(TopicPartition, LeaderHint)>, endpoints: &[NodeEndpoint]);

    /// Asks anew where the partitions of a topic are led, soon.
    fn refresh_topic(&self, _topic: &TopicName, reason: &'static str) {
        self.refresh(reason);
    }

    /// Asks for a fresh picture, soon.
    fn refresh(&self, reason: &'static str);

    /// Asks for a fresh picture, and waits for it; where that fails, the present one stays.
    fn renew(&self) -> BoxFuture<()>;

    /// Resolves when the picture changed since the last call of this.
    fn changed(&self) -> BoxFuture<()>;

    /// A connection for records to a broker.
    fn connect(&self, link: LinkId) -> BoxFuture<Result<Arc<dyn Wire>>>;

    /// Whether it has ended for good: nothing can be sent any more. Told as a change as well.
    fn is_closed(&self) -> bool {
        false
    }

    /// Has the producer's end awaited before connections end.
    fn add_user(&self, _user: Weak<SenderEnd>) {}

    /// A new producer id (InitProducerId, KIP-98).
    fn producer_id(&self) -> BoxFuture<Result<Identity>>;
}

/// One connection for records.
pub(crate) trait Wire: Send + Sync + 'static {
    /// The version of Produce to speak.
    fn version(&self) -> Result<i16>;

    /// Sends a Produce request; its place in the order of requests is fixed when this returns. Without `answered` the future
    /// resolves, to nothing, when the request was written.
    fn send(
        &self,
        version: i16,
        body: Vec<Bytes>,
        timeout: Duration,
        answered: bool,
    ) -> BoxFuture<Result<Bytes>>;

    /// Keeps silent for a while, as the broker asked (KIP-219).
    fn throttle(&self, wait: Duration);

    /// Whether nothing more can be sent.
    fn is_closed(&self) -> bool;

    /// Until when the broker asked for silence (KIP-219).
    fn muted_until(&self) -> Option<Instant>;

    /// The smoothed round trip.
    fn srtt(&self) -> Option<Duration>;
}
