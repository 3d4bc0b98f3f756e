//! The client. Makes producers, consumers and administrators.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use milena_admin::Admin;
use milena_config::Drafts;
use milena_consumer::{AssignedConsumer, AssignedConsumerBuilder, Consumer, ConsumerBuilder};
use milena_core::{Recorder, Result, Routes, TopicName};
#[cfg(feature = "health")]
use milena_health::{Health, Joined};
use milena_middleware::RetryTopics;
use milena_pool::Cluster;
use milena_producer::{Producer, ProducerBuilder};

use crate::apply;
use crate::topic_plan::TopicPlan;

/// A connected client of one cluster. All producers, consumers and administrators made from it
/// share its metadata and connections. A clone is the same client.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_client::Client;
/// use milena_core::{ProducerRecord, Text};
///
/// let broker = milena_broker::Broker::builder().topic("orders", 4).start().await?;
/// let client = Client::builder()
///     .bootstrap(broker.bootstrap())
///     .connector(broker.dialer())
///     .connect()
///     .await?;
///
/// let producer = client.producer().build()?;
/// producer.send(ProducerRecord::new("orders").key("order-7").value("two stamps")).await?;
///
/// let consumer = client.consumer("billing").topics(["orders"]).build()?;
/// let stop = consumer.shutdown_handle();
/// let report = consumer
///     .run(move |Text(order): Text| {
///         assert_eq!(order, "two stamps");
///         stop.shutdown(); // one record is enough here
///         async {}
///     })
///     .await?;
/// assert_eq!(report.processed, 1);
/// client.close().await;
/// # broker.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    /// The connections and the metadata of the cluster.
    cluster: Cluster,
    /// The group that the settings name. `None` if they name none.
    group: Option<Arc<str>>,
    /// The settings for producers and consumers from files, environment and properties.
    settings: Arc<Drafts>,
    /// The recorder for consumers without their own. `None` for none.
    recorder: Option<Arc<dyn Recorder>>,
    /// The client's part in a health. `None` without one.
    #[cfg(feature = "health")]
    health: Option<Joined>,
}

impl Client {
    pub(crate) fn new(
        cluster: Cluster,
        group: Option<Arc<str>>,
        settings: Drafts,
        recorder: Option<Arc<dyn Recorder>>,
    ) -> Self {
        Self {
            cluster,
            group,
            settings: Arc::new(settings),
            recorder,
            #[cfg(feature = "health")]
            health: None,
        }
    }

    #[cfg(feature = "health")]
    pub(crate) fn with_health(mut self, health: Option<(Joined, Health)>) -> Self {
        if let Some((joined, health)) = health {
            joined.watch(self.cluster.gauges());
            self.cluster.keep_probing(health.probe_interval());
            self.health = Some(joined);
        }
        self
    }

    /// Returns the group of the client's settings (`group.id`), to give it to
    /// [`consumer`](Self::consumer).
    #[must_use]
    pub fn group(&self) -> Option<&Arc<str>> {
        self.group.as_ref()
    }

    /// Creates a builder of a producer, with the producer settings of the client. Its request
    /// timeout and its backoff are those of the client, unless it has its own.
    pub fn producer(&self) -> ProducerBuilder {
        let builder = Producer::builder(self.cluster.clone())
            .request_timeout(self.cluster.request_timeout())
            .backoff(self.cluster.backoff());
        apply::producer(&self.settings.producer, builder)
    }

    /// Creates a builder of a consumer in the group `group` (`group.id`). The consumer shares
    /// topics with the other members and commits the records that it has processed.
    pub fn consumer(&self, group: impl Into<Arc<str>>) -> ConsumerBuilder {
        let builder = Consumer::builder(self.cluster.clone(), group);
        let builder = apply::member(&self.settings.consumer, builder);
        let recorder = self.recorder.clone();
        recorder
            .into_iter()
            .fold(builder, ConsumerBuilder::recorder)
    }

    /// Creates a builder of a consumer without a group. It reads the partitions and starts at the
    /// offsets that it is given.
    pub fn assigned_consumer(&self) -> AssignedConsumerBuilder {
        let builder = AssignedConsumer::builder(self.cluster.clone());
        let builder = apply::assigned(&self.settings.consumer, builder);
        let recorder = self.recorder.clone();
        recorder
            .into_iter()
            .fold(builder, AssignedConsumerBuilder::recorder)
    }

    /// Returns an administrator of the cluster. Each of its verbs may take as long as the client's
    /// `api_timeout`.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster.clone())
    }

    /// Returns the connections and the metadata of the cluster, for tools.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Creates the missing topics that the layers of a stack or a router write to. Returns the
    /// topics that the consumer subscribes to, which are `topics` and their retry topics.
    ///
    /// The created topics are dead letter topics, retry topics, and the topics that an
    /// [`EmitLayer`](milena_middleware::EmitLayer) was given. A retry topic gets as many partitions
    /// as its base topic. Any other topic gets as many as the largest of `topics`. Replication and
    /// retention are the brokers' defaults. Retention must be longer than the delays. Without this
    /// call, a missing topic is an error of `run`, before the first record.
    ///
    /// # Errors
    /// An error if one of `topics` does not exist, or if another topic cannot be created.
    ///
    /// # Cancel safety
    /// If the future is dropped, some of the topics may have been created. It may be called again.
    pub async fn create_topics_for<R, I>(&self, routes: &R, topics: I) -> Result<Vec<TopicName>>
    where
        R: Routes,
        I: IntoIterator,
        I::Item: Into<TopicName>,
    {
        let mut read = BTreeMap::new();
        for topic in topics {
            let topic = topic.into();
            let partitions = self.partitions_of(&topic).await?;
            read.insert(topic, partitions);
        }
        TopicPlan::of_routes(routes, &read)
            .create(&self.admin())
            .await
    }

    /// Creates the missing retry topics of `topic`, each with as many partitions as `topic`.
    /// Returns `topic` and its retry topics, which a consumer of it subscribes to.
    ///
    /// Replication and retention are the brokers' defaults. Retention must be longer than the
    /// delays.
    ///
    /// # Errors
    /// An error if `topic` does not exist, or if a retry topic cannot be created.
    ///
    /// # Cancel safety
    /// If the future is dropped, some of the topics may have been created. It may be called again.
    pub async fn create_retry_topics(
        &self,
        topics: &RetryTopics,
        topic: impl Into<TopicName>,
    ) -> Result<Vec<TopicName>> {
        let topic = topic.into();
        let partitions = self.partitions_of(&topic).await?;
        TopicPlan::of_retries(topics, &topic, partitions)
            .create(&self.admin())
            .await
    }

    /// Returns the count of a topic's partitions, in the form that requests carry.
    async fn partitions_of(&self, topic: &TopicName) -> Result<i32> {
        let partitions = self.cluster.topic(topic.clone()).await?.partitions.len();
        Ok(i32::try_from(partitions).unwrap_or(i32::MAX))
    }

    /// Closes everything that was made from this client, in order. Consumers drain, commit and
    /// leave. Then producers deliver the records that they accepted. Then connections close. Each
    /// step has its own limit (drain timeout, delivery timeout).
    ///
    /// # Cancel safety
    /// If the future is dropped, the parts that have not ended go on. Call it again to end them.
    pub async fn close(&self) {
        tracing::info!("the client closes: consumers end first, then producers, then connections");
        #[cfg(feature = "health")]
        if let Some(joined) = &self.health {
            joined.close();
        }
        self.cluster.end_users().await;
        self.cluster.close().await;
        tracing::info!("the client is closed");
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("cluster", &self.cluster.metadata().cluster_id())
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
