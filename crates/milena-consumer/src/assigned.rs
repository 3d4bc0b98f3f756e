//! A consumer without a group. The program names the partitions and where to start.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use milena_core::{
    BoxError, ConsumerRecord, Incoming, OffsetReset, Outcome, Result, Routes, TopicName,
    TopicPartition,
};
use milena_fetch::FetchBatch;
use milena_lanes::{IntoRoutes, ShutdownHandle};
use milena_pool::Cluster;
use tower_service::Service;

use crate::builder::AssignedConsumerBuilder;
use crate::core::Core;
use crate::engine::Engine;
use crate::gauges;
use crate::partition::FetchFrom;
use crate::receiver::Receiver;
use crate::run::{self, Run, RunUntil};
use crate::settings::Settings;
use crate::start::StartAt;

/// Reads the partitions that the program assigns. It is in no group and commits nothing.
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
    /// The tasks of this consumer. They end when it is dropped.
    engine: Arc<Engine>,
    /// State of `recv` and its relatives. Unused while a handler runs.
    receiver: Receiver,
}

impl AssignedConsumer {
    /// Returns a builder for a consumer without a group on `cluster`.
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

    /// Adds these partitions to those assigned before. A partition that is assigned again starts
    /// over.
    ///
    /// If a start time is before 1970, the reader of that partition gets an error, and nothing of
    /// it is read before a seek.
    pub fn assign(&self, partitions: impl IntoIterator<Item = (TopicPartition, StartAt)>) {
        let partitions: Vec<_> = partitions.into_iter().collect();
        let topics = partitions.iter().map(|(place, _)| place.topic.clone());
        self.core().cluster.want_topics(topics);
        let refused: Vec<_> = partitions
            .iter()
            .filter_map(|(place, start)| Some((place.clone(), start.check().err()?)))
            .collect();
        let starts = partitions
            .into_iter()
            .map(|(place, start)| (place, start.place()));
        self.core().assignment.assign(starts);
        for (place, error) in refused {
            if let Ok(partition) = self.core().assignment.partition(&place) {
                // This place is never looked up. Only a seek leaves it.
                partition.go_to(FetchFrom::Lookup(OffsetReset::None));
                let (_, turn) = partition.where_to_fetch();
                partition.fail(turn, error.at(&place));
                self.core().wakes.wake_receivers();
            }
        }
    }

    /// Stops reading these partitions. The others continue.
    ///
    /// No record of these partitions is returned or handed to a handler after this returns.
    /// Handlers that have one may finish it, for at most the drain timeout.
    pub fn unassign(&self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let known = partitions
            .into_iter()
            .filter_map(|place| self.core().assignment.partition(&place).ok());
        self.engine.let_go(known.collect());
    }

    /// Processes records with a handler until the consumer ends, like
    /// [`Consumer::run`](crate::Consumer::run), but without commits.
    ///
    /// # Errors
    /// As for [`Consumer::run`](crate::Consumer::run).
    ///
    /// # Cancel safety
    /// If the future is dropped, everything ends at once.
    pub fn run<M, X>(&self, handler: X) -> Run<'_>
    where
        X: IntoRoutes<M>,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        run::run(&self.engine, handler.into_routes())
    }

    /// Processes records like [`run`](Self::run), and shuts down gracefully when `end` resolves,
    /// for example at a signal.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As for [`run`](Self::run).
    pub fn run_until<M, X, E>(&self, handler: X, end: E) -> RunUntil<'_, E>
    where
        X: IntoRoutes<M>,
        E: Future,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        RunUntil::new(self.run(handler), end, self.shutdown_handle())
    }

    /// Shuts down gracefully. Lanes drain, for at most the drain timeout.
    pub async fn close(&self) {
        self.engine.close().await;
    }
}

crate::reader::reading!(AssignedConsumer);

impl fmt::Debug for AssignedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssignedConsumer")
            .field("assignment", &self.assignment())
            .finish_non_exhaustive()
    }
}
