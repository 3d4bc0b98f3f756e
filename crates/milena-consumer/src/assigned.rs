//! A consumer without a group: the user names the partitions and where to begin.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use milena_core::{
    BoxError, ConsumerRecord, Gauges, Incoming, Offset, Outcome, Partition, Result, Routes,
    TopicName, TopicPartition,
};
use milena_pool::Cluster;
use tower_service::Service;

use crate::batch::FetchBatch;
use crate::builder::AssignedConsumerBuilder;
use crate::consumer::{pause, resume, seek};
use crate::core::Core;
use crate::engine::Engine;
use crate::gauges;
use crate::into_routes::IntoRoutes;
use crate::partition::Place;
use crate::receiver::Receiver;
use crate::run::{self, RunReport, ShutdownHandle};
use crate::settings::{OffsetReset, Settings};

/// Where to begin to read a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At the first record there is.
    Beginning,
    /// Behind the last record there is now.
    End,
    /// At this offset.
    Offset(Offset),
}

/// Reads partitions that it is told, as no member of any group; it commits nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_consumer::{AssignedConsumer, StartAt};
/// use milena_core::TopicPartition;
/// use milena_pool::Cluster;
///
/// let broker = milena_broker::Broker::builder().topic("orders", 1).start().await?;
/// let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer()).connect().await?;
/// let consumer = AssignedConsumer::builder(cluster).build()?;
/// consumer.assign([(TopicPartition::new("orders", 0), StartAt::Beginning)]);
/// # let waiting = tokio::time::timeout(std::time::Duration::from_millis(1), async {
/// let record = consumer.recv().await?;
/// # Ok::<_, milena_core::Error>(record)
/// # });
/// # assert!(waiting.await.is_err());
/// # Ok(())
/// # }
/// ```
pub struct AssignedConsumer {
    engine: Arc<Engine>,
    receiver: Receiver,
}

impl AssignedConsumer {
    /// Sets up a consumer without a group on `cluster`.
    pub fn builder(cluster: Cluster) -> AssignedConsumerBuilder {
        AssignedConsumerBuilder::new(cluster)
    }

    pub(crate) fn new(cluster: Cluster, settings: Settings) -> Self {
        let core = Core::new(cluster, settings);
        Self {
            receiver: Receiver::new(Arc::clone(&core)),
            engine: Engine::new(core),
        }
    }

    fn core(&self) -> &Core {
        &self.engine.core
    }

    /// Reads these partitions from now on, beside those assigned before; one assigned again begins anew.
    pub fn assign(&self, partitions: impl IntoIterator<Item = (TopicPartition, StartAt)>) {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let topics = partitions.iter().map(|(place, _)| place.topic.clone());
        self.core().cluster.want_topics(topics);
        let starts = partitions
            .into_iter()
            .map(|(place, start)| (place, start.place()));
        self.core().assign(starts);
    }

    /// Reads these partitions no more.
    pub fn unassign(&self, partitions: impl IntoIterator<Item = TopicPartition>) {
        for place in partitions {
            if let Ok(partition) = self.core().partition(&place) {
                self.core().release(&[partition]);
            }
        }
    }

    /// The next record of any assigned partition; waits for one.
    ///
    /// # Errors
    /// Why the consumer ended; a batch that cannot be read, with its place: the same place is read again by the next call, and
    /// [`seek`](Self::seek) goes past it.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, no record is lost.
    pub async fn recv(&self) -> Result<ConsumerRecord> {
        self.engine.start()?;
        self.receiver.recv().await
    }

    /// The next batch of any assigned partition; waits for one. The fastest way to read.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Dropped before it resolves, no record is lost.
    pub async fn recv_batch(&self) -> Result<FetchBatch> {
        self.engine.start()?;
        self.receiver.recv_batch().await
    }

    /// Processes records with a handler until the end; as [`Consumer::run`](crate::Consumer::run), without commits.
    ///
    /// # Errors
    /// As [`Consumer::run`](crate::Consumer::run).
    ///
    /// # Cancel safety
    /// Dropped, everything ends at once.
    pub async fn run<M, X>(&self, handler: X) -> Result<RunReport>
    where
        X: IntoRoutes<M>,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        run::run(&self.engine, handler.into_routes()).await
    }

    /// As [`run`](Self::run), and ends in good order when `end` resolves: at a signal, say.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_until<M, X>(&self, handler: X, end: impl Future) -> Result<RunReport>
    where
        X: IntoRoutes<M>,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        let stop = self.shutdown_handle();
        let end = async {
            end.await;
            stop.shutdown();
        };
        run::until(self.run(handler), end).await
    }

    /// A handle that ends the consumer in good order.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        ShutdownHandle(self.core().closing.clone())
    }

    /// Ends in good order: lanes drain, at most the drain timeout.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// The partitions that it reads.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.core().assigned()
    }

    /// The partitions of a topic; waits while the topic is not known.
    ///
    /// # Errors
    /// As [`Cluster::topic`].
    pub async fn partitions_for(&self, topic: impl Into<TopicName>) -> Result<Vec<Partition>> {
        let topic = self.core().cluster.topic(topic).await?;
        Ok(topic
            .partitions
            .iter()
            .map(|known| known.partition)
            .collect())
    }

    /// The offset of the next record to be delivered; `None` while it is being looked up.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn position(&self, place: &TopicPartition) -> Result<Option<Offset>> {
        self.receiver.note_position();
        Ok(self.core().partition(place)?.position())
    }

    /// Goes elsewhere in an assigned partition: what was fetched of it is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn seek(&self, place: &TopicPartition, to: StartAt) -> Result<()> {
        seek(self.core(), &self.receiver, place, to.place())
    }

    /// Pauses an assigned partition: nothing is fetched or received of it until [`resume`](Self::resume).
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn pause(&self, place: &TopicPartition) -> Result<()> {
        pause(self.core(), &self.receiver, place)
    }

    /// Lets go of a pause by [`pause`](Self::pause).
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn resume(&self, place: &TopicPartition) -> Result<()> {
        resume(self.core(), place)
    }

    /// Its figures: lag, memory used, pauses.
    #[must_use]
    pub fn gauges(&self) -> Arc<dyn Gauges> {
        gauges::gauges(&self.engine.core)
    }
}

impl StartAt {
    fn place(self) -> Place {
        match self {
            Self::Beginning => Place::Lookup(OffsetReset::Earliest),
            Self::End => Place::Lookup(OffsetReset::Latest),
            Self::Offset(offset) => Place::At(offset),
        }
    }
}

impl fmt::Debug for AssignedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssignedConsumer")
            .field("assignment", &self.assignment())
            .finish_non_exhaustive()
    }
}
