//! The client. Makes producers, consumers and administrators.

use std::fmt;
use std::sync::Arc;

use milena_admin::Admin;
use milena_config::Drafts;
use milena_consumer::{AssignedConsumer, AssignedConsumerBuilder, Consumer, ConsumerBuilder};
use milena_core::Recorder;
#[cfg(feature = "health")]
use milena_health::{Health, Joined};
use milena_pool::Cluster;
use milena_producer::{Producer, ProducerBuilder};

use crate::apply;

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
