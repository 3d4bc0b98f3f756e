//! A consumer without a group: the user names the partitions and where to begin.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use milena_core::{
    BoxError, ConsumerRecord, Incoming, Outcome, Result, Routes, TopicName, TopicPartition,
};
use milena_pool::Cluster;
use tower_service::Service;

use crate::batch::FetchBatch;
use crate::builder::AssignedConsumerBuilder;
use crate::core::Core;
use crate::engine::Engine;
use crate::gauges;
use crate::into_routes::IntoRoutes;
use crate::partition::Place;
use crate::receiver::Receiver;
use crate::run::{self, Run, RunUntil, ShutdownHandle};
use crate::settings::{OffsetReset, Settings};
use crate::start::StartAt;

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

    /// Reads these partitions from now on, beside those assigned before; one assigned again begins anew. A time before 1970 is told by
    /// the reader of its partition, which stands until a seek.
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
        self.core().assign(starts);
        for (place, error) in refused {
            if let Ok(partition) = self.core().partition(&place) {
                // Nothing is looked up: only a seek helps.
                partition.go_to(Place::Lookup(OffsetReset::None));
                let (_, turn) = partition.where_to_fetch();
                partition.fail(turn, error.at(&place));
                self.core().ready.notify_waiters();
            }
        }
    }

    /// Reads these partitions no more; the others go on.
    ///
    /// No record of them is given or dispatched after this returns. Handlers that have one are left to end, for the drain timeout
    /// at most.
    pub fn unassign(&self, partitions: impl IntoIterator<Item = TopicPartition>) {
        let known = partitions
            .into_iter()
            .filter_map(|place| self.core().partition(&place).ok());
        self.engine.let_go(known.collect());
    }

    /// Processes records with a handler until the end; as [`Consumer::run`](crate::Consumer::run), without commits.
    ///
    /// # Errors
    /// As [`Consumer::run`](crate::Consumer::run).
    ///
    /// # Cancel safety
    /// Dropped, everything ends at once.
    pub fn run<M, X>(&self, handler: X) -> Run<'_>
    where
        X: IntoRoutes<M>,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        run::run(&self.engine, handler.into_routes())
    }

    /// As [`run`](Self::run), and ends in good order when `end` resolves: at a signal, say.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
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

    /// Ends in good order: lanes drain, at most the drain timeout.
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
