//! The client: the handle from which producers, consumers and administrators are made.

use std::fmt;
use std::sync::Arc;

use milena_admin::Admin;
use milena_consumer::{AssignedConsumer, AssignedConsumerBuilder, Consumer, ConsumerBuilder};
use milena_core::{Recorder, TopicName};
#[cfg(feature = "health")]
use milena_health::{Health, Joined};
use milena_pool::Cluster;
use milena_producer::{Producer, ProducerBuilder};

use crate::builder::ClientBuilder;
use crate::config::Settings;
use crate::dead_letters::DeadLetters;

/// A cluster, as this process knows it: one picture of its brokers and topics and one set of connections, which every producer,
/// consumer and administrator made here shares. A clone is the same client.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_client::Client;
/// use milena_core::{ProducerRecord, Text};
///
/// let broker = milena_broker::Broker::builder().topic("orders", 4).start().await?;
/// let client = Client::builder().bootstrap(broker.bootstrap()).connector(broker.dialer()).connect().await?;
///
/// let producer = client.producer().build()?;
/// producer.send(ProducerRecord::new("orders").key("order-7").value("two stamps")).await?;
///
/// let consumer = client.consumer("billing").topics(["orders"]).build()?;
/// let stop = consumer.shutdown_handle();
/// let report = consumer
///     .run(move |Text(order): Text| {
///         assert_eq!(order, "two stamps");
///         stop.shutdown(); // one is enough here
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
    cluster: Cluster,
    group: Option<Arc<str>>,
    settings: Arc<Settings>,
    recorder: Option<Arc<dyn Recorder>>,
    #[cfg(feature = "health")]
    health: Option<Joined>,
}

impl Client {
    /// Sets up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    pub(crate) fn new(
        cluster: Cluster,
        group: Option<Arc<str>>,
        settings: Settings,
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

    /// The group that the client's settings name (`group.id`), to be given to [`consumer`](Self::consumer).
    #[must_use]
    pub fn group(&self) -> Option<&Arc<str>> {
        self.group.as_ref()
    }

    /// Sets up a producer, with what the client's settings say of producers.
    pub fn producer(&self) -> ProducerBuilder {
        let builder = Producer::builder(self.cluster.clone());
        self.settings.producer(builder)
    }

    /// Sets up a consumer in the group `group` (`group.id`), which shares topics with the other members and commits what it has
    /// processed.
    pub fn consumer(&self, group: impl Into<Arc<str>>) -> ConsumerBuilder {
        let builder = Consumer::builder(self.cluster.clone(), group);
        let builder = self.settings.member(builder);
        let recorder = self.recorder.clone();
        recorder
            .into_iter()
            .fold(builder, ConsumerBuilder::recorder)
    }

    /// Sets up a consumer without a group: it reads the partitions that it is told, from where it is told.
    pub fn assigned_consumer(&self) -> AssignedConsumerBuilder {
        let builder = AssignedConsumer::builder(self.cluster.clone());
        let builder = self.settings.assigned(builder);
        let recorder = self.recorder.clone();
        recorder
            .into_iter()
            .fold(builder, AssignedConsumerBuilder::recorder)
    }

    /// An administrator of the cluster.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster.clone())
    }

    /// The letters of a dead letter topic: to look through, and to send back.
    #[must_use]
    pub fn dead_letters(&self, topic: impl Into<TopicName>) -> DeadLetters {
        DeadLetters::new(self.clone(), topic.into())
    }

    /// The connections and the picture of the cluster below, for tools.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Ends in good order all that was made here: consumers drain, commit and leave, then producers deliver what they accepted, then
    /// connections close. Each step has its own limit (drain timeout, delivery timeout).
    ///
    /// # Cancel safety
    /// Dropped, what has not ended yet goes on; call it again.
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
