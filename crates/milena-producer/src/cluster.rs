//! The sender's network over a real cluster, with metadata, connections for records, and producer
//! ids.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use milena_core::{
    Error, ErrorCode, ErrorKind, NodeId, ProducerEpoch, ProducerId, Result, TopicName,
    TopicPartition,
};
use milena_pool::{Cluster, ClusterUser, Connection, EndStage, Target, TopicMetadata};
use milena_protocol::ApiKey;
use milena_protocol::hints::{LeaderHint, NodeEndpoint};
use milena_protocol::messages::InitProducerIdRequest;
use tokio::time::Instant;
use uuid::Uuid;

use crate::network::{BoxFuture, Changes, LinkId, Network, Shape, Wire};
use crate::send::identity::Identity;
use crate::send::verdict;

/// The [`Network`] over a [`Cluster`].
pub(crate) struct ClusterNetwork {
    /// The cluster that records are sent to.
    cluster: Cluster,
    /// The changes of the metadata that `changed` has not reported.
    changes: Changes,
}

/// The [`Wire`] over a connection of the pool.
struct ConnectionWire(Connection);

impl ClusterNetwork {
    pub(crate) fn new(cluster: Cluster) -> Self {
        let changes = Changes::new(cluster.changed());
        Self { cluster, changes }
    }
}

impl Network for ClusterNetwork {
    fn add_user(&self, user: Weak<dyn ClusterUser>) {
        self.cluster.add_user(EndStage::Writers, user);
    }

    fn is_closed(&self) -> bool {
        self.cluster.is_closed()
    }

    fn leader(&self, place: &TopicPartition) -> Option<NodeId> {
        let metadata = self.cluster.metadata();
        if metadata.topic(&place.topic).is_none() {
            // Nothing was sent to the topic for so long that the metadata no longer includes it.
            self.cluster.want_topics([place.topic.clone()]);
        }
        metadata.leader(place)
    }

    fn is_missing(&self, place: &TopicPartition) -> bool {
        let metadata = self.cluster.metadata();
        let Some(topic) = metadata.topic(&place.topic) else {
            return true;
        };
        match topic.error {
            Some(code) => verdict::is_missing(code),
            None => topic.partition(place.partition).is_none(),
        }
    }

    fn topic_id(&self, topic: &str) -> Option<Uuid> {
        self.cluster.metadata().topic(topic)?.id
    }

    fn shape(&self, topic: &str) -> Option<Shape> {
        // `peek_topic` does not count as use. This is called for every topic that records were ever
        // sent to, and that is no reason to keep a topic in the metadata.
        let metadata = self.cluster.metadata();
        metadata.peek_topic(topic).map(|topic| shape(topic))
    }

    fn topic(&self, topic: TopicName, limit: Duration) -> BoxFuture<Result<Shape>> {
        let cluster = self.cluster.clone();
        Box::pin(async move {
            let topic = cluster.topic_within(topic, limit).await?;
            Ok(shape(&topic))
        })
    }

    fn learn(&self, hints: Vec<(TopicPartition, LeaderHint)>, endpoints: &[NodeEndpoint]) {
        self.cluster.learn_leaders(hints, endpoints);
    }

    fn refresh_topic(&self, topic: &TopicName, reason: &'static str) {
        tracing::debug!(%topic, reason, "the producer asks for the metadata of a topic");
        self.cluster.request_topics([topic.clone()]);
    }

    fn refresh(&self, reason: &'static str) {
        tracing::debug!(reason, "the producer asks for metadata");
        self.cluster.request_refresh();
    }

    fn renew(&self) -> BoxFuture<()> {
        let cluster = self.cluster.clone();
        Box::pin(async move {
            if let Err(error) = cluster.refresh().await {
                tracing::debug!(%error, "the metadata could not be renewed");
            }
        })
    }

    fn changed(&self) -> BoxFuture<()> {
        self.changes.next()
    }

    fn connect(&self, link: LinkId) -> BoxFuture<Result<Arc<dyn Wire>>> {
        let cluster = self.cluster.clone();
        Box::pin(async move {
            // The first connection too is the producer's own. A broker works on one request of a
            // connection at a time, and with acks=all until the replicas have it. Producers that
            // shared a connection would wait for each other's records.
            let connection = cluster.dial(link.node).await?;
            Ok(Arc::new(ConnectionWire(connection)) as Arc<dyn Wire>)
        })
    }

    fn producer_id(&self) -> BoxFuture<Result<Identity>> {
        let cluster = self.cluster.clone();
        Box::pin(async move {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(i32::MAX)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
            let answer = cluster.send(&Target::Any, &request).await?;
            if let Some(code) = ErrorCode::from_wire(answer.error_code) {
                return Err(Error::broker(code).api("InitProducerId"));
            }
            let identity = ProducerId::from_wire(answer.producer_id.0)
                .zip(ProducerEpoch::from_wire(answer.producer_epoch));
            let (id, epoch) = identity.ok_or_else(|| {
                Error::new(ErrorKind::Decode, "the answer holds no producer id")
                    .api("InitProducerId")
            })?;
            Ok(Identity { id, epoch })
        })
    }
}

impl Wire for ConnectionWire {
    fn version(&self) -> Result<i16> {
        self.0.versions().negotiate(ApiKey::Produce)
    }

    fn send(
        &self,
        version: i16,
        body: Vec<Bytes>,
        timeout: Duration,
        answered: bool,
    ) -> BoxFuture<Result<Bytes>> {
        if answered {
            Box::pin(self.0.send_raw(ApiKey::Produce, version, body, timeout))
        } else {
            Box::pin(
                self.0
                    .send_unanswered(ApiKey::Produce, version, body, timeout),
            )
        }
    }

    fn throttle(&self, wait: Duration) {
        self.0.throttle(ApiKey::Produce, wait);
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn muted_until(&self) -> Option<Instant> {
        self.0.throttled_until()
    }

    fn srtt(&self) -> Option<Duration> {
        self.0.srtt()
    }
}

/// Reads from the metadata which partitions of a topic have a leader.
fn shape(topic: &TopicMetadata) -> Shape {
    let led = topic.partitions.iter();
    Shape {
        led: led.map(|partition| partition.leader.is_some()).collect(),
    }
}
