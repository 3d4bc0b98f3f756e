//! The consumer of a group: the user's handle on the tasks behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use milena_core::{
    BoxError, ConsumerRecord, Error, GroupMetadata, Incoming, Offset, Outcome, Result, Routes,
    TopicName, TopicPartition,
};
use milena_pool::Cluster;
use tokio::time::{Instant, sleep};
use tower_service::Service;

use crate::batch::FetchBatch;
use crate::builder::ConsumerBuilder;
use crate::commit::{self, Effort};
use crate::committed;
use crate::committing::{OffsetAndMetadata, PendingCommit};
use crate::core::Core;
use crate::engine::Engine;
use crate::gauges;
use crate::into_routes::IntoRoutes;
use crate::partition::{Committable, Partition};
use crate::receiver::Receiver;
use crate::run::{self, Run, RunUntil, ShutdownHandle};
use crate::settings::Settings;
use crate::spawned::RunningConsumer;

/// Reads topics as a member of a consumer group.
///
/// **A record that cannot be processed ends the whole consumer**, unless a layer takes it: [`run`](Self::run) returns an error that
/// names topic, partition and offset, after the other lanes have drained and their offsets are committed. Nothing is lost and nobody can
/// miss it. A dead letter layer in the handler's stack lets such records pass;
/// [`on_lane_stop`](crate::ConsumerBuilder::on_lane_stop) with [`LaneStopPolicy::Pause`](crate::LaneStopPolicy::Pause) stops the
/// record's partition alone.
///
/// It joins at the first [`run`](Self::run), [`recv`](Self::recv) or [`recv_batch`](Self::recv_batch). Give it a handler with `run`,
/// and offsets are committed after processing; or receive records yourself and [`commit`](Self::commit) what you have done.
/// Dropped without [`close`](Self::close) it ends at once and commits nothing more; its partitions go to others when its session runs out.
///
/// A consumer that cannot go on ends by itself: its partitions are given back and its group is left, whether somebody asks it for
/// something or not. So it is after a panic on one of its tasks, as of a listener, an assignor, a recorder or a clock
/// ([`ErrorKind::Panicked`](milena_core::ErrorKind::Panicked)); a panic of the handler is an answer to its record.
///
/// While the group's coordinator cannot be reached, partitions are kept and read on: nobody else gets them meanwhile, and what is not
/// committed is committed once it is back. A member that did not run for a whole session, as on a suspended machine, lets its
/// partitions go before it asks for anything.
///
/// Heartbeats go on beside the program, so one that stopped calling [`recv`](Self::recv) keeps its partitions. Where records wait for
/// longer than [`max_processing_time`](crate::ConsumerBuilder::max_processing_time), that is reported; with
/// [`StuckPolicy::StopLane`](crate::StuckPolicy::StopLane) the consumer ends then, and others read them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use milena_consumer::Consumer;
/// use milena_core::{Offset, Text};
/// use milena_pool::Cluster;
///
/// let broker = milena_broker::Broker::builder().topic("orders", 3).start().await?;
/// let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer()).connect().await?;
/// let consumer = Consumer::builder(cluster, "billing").topics(["orders"]).build()?;
///
/// let stop = consumer.shutdown_handle();
/// tokio::spawn(async move { stop.shutdown() }); // at Ctrl-C, say
/// let report = consumer
///     .run(|Text(order): Text, offset: Offset| async move { println!("{offset}: {order}") })
///     .await?;
/// assert_eq!(report.processed, 0);
/// # Ok(())
/// # }
/// ```
///
/// # References
/// The classic group protocol; KIP-394 (member ids), KIP-345 (static members), KIP-227 (fetch sessions).
pub struct Consumer {
    engine: Arc<Engine>,
    receiver: Receiver,
}

impl Consumer {
    /// Sets up a consumer of `group` (`group.id`) on `cluster`.
    pub fn builder(cluster: Cluster, group: impl Into<Arc<str>>) -> ConsumerBuilder {
        ConsumerBuilder::new(cluster, group.into())
    }

    pub(crate) fn new(cluster: Cluster, settings: Settings) -> Self {
        let core = Core::new(cluster, settings);
        Self {
            receiver: Receiver::new(Arc::clone(&core)),
            engine: Engine::new(core),
        }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.engine.core
    }

    /// Processes records with a handler until the end, and says what was done.
    ///
    /// Takes a stack or a router, a cloneable tower service, or an async function of extractors. Ends by the
    /// [`shutdown_handle`](Self::shutdown_handle), by [`Outcome::Stop`], or by an error that it cannot get over; in each case lanes are
    /// drained, offsets committed and the group left first.
    ///
    /// Where no layer retries, errors are tried again in place with a bounded backoff (`max_attempts`). A record that can neither be
    /// processed nor dead-lettered stops its lane: see [`LaneStopPolicy`](crate::LaneStopPolicy).
    ///
    /// # Errors
    /// A topic that does not exist; a group that cannot be joined; a lane that stopped (with the record's place); a fatal error of
    /// the handler; [`ErrorKind::State`](milena_core::ErrorKind::State) when it runs already.
    ///
    /// # Cancel safety
    /// Dropped, everything ends at once; what was not committed is read again by the next owner.
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

    /// As [`run`](Self::run), in a task of its own: for a program that serves something beside it.
    ///
    /// The handle is a future of the report, and [`stop`](RunningConsumer::stop) ends the consumer in good order. An error
    /// and a panic of the run are logged, and told by the handle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> milena_core::Result<()> {
    /// # use milena_consumer::Consumer;
    /// # use milena_core::Text;
    /// # use milena_pool::Cluster;
    /// # let broker = milena_broker::Broker::builder().topic("orders", 3).start().await?;
    /// # let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer()).connect().await?;
    /// let consumer = Consumer::builder(cluster, "billing").topics(["orders"]).build()?;
    /// let mut running = consumer.spawn(async |Text(order): Text| println!("{order}"));
    /// # let serve = async {};
    /// tokio::select! {
    ///     () = serve => {} // a server that ends at a signal
    ///     ended = &mut running => { ended?; } // the consumer could not go on
    /// }
    /// let report = running.stop().await?;
    /// # assert_eq!(report.processed, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<M, X>(self, handler: X) -> RunningConsumer
    where
        X: IntoRoutes<M>,
        <X::Routes as Routes>::Service: Service<Incoming, Response = Outcome>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Error: Into<BoxError>,
        <<X::Routes as Routes>::Service as Service<Incoming>>::Future: Send + 'static,
    {
        let stop = self.shutdown_handle();
        let group: Arc<str> = self.core().settings.group_name().into();
        let routes = handler.into_routes();
        let run = async move { run::run(&self.engine, routes).await };
        RunningConsumer::start(run, group, stop)
    }

    /// Commits what [`recv`](Self::recv) and [`recv_batch`](Self::recv_batch) returned, all of it, and waits for the answer.
    ///
    /// While a handler runs, commits what it has done.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) when the group went on without this member, or a partition was given away
    /// with records that were not committed: another one reads these records again. That is told once, and what can be committed of
    /// the other partitions is. Else why a broker refused, or did not answer in time.
    ///
    /// # Cancel safety
    /// Dropped, the offsets may be committed or not.
    pub async fn commit(&self) -> Result<()> {
        let partitions = self.core().partitions();
        commit::commit(self.core(), &partitions, Effort::of_user(self.core())).await?;
        self.core().gone_uncommitted()
    }

    /// Commits that this record, and what came before it in its partition, is done, and waits for the answer.
    ///
    /// Never goes back: where as much is committed already, or a [`seek`](Self::seek) or a named offset came after this call, or the
    /// partition was away and came back since the record was received, nothing happens.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned; else as [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// Dropped, the offset may be committed or not.
    pub async fn commit_record(&self, record: &ConsumerRecord) -> Result<()> {
        let after = self.after_record(record)?;
        self.commit_now(after).await
    }

    /// As [`commit_record`](Self::commit_record), for all records of a batch.
    ///
    /// # Errors
    /// As [`commit_record`](Self::commit_record).
    ///
    /// # Cancel safety
    /// Dropped, the offset may be committed or not.
    pub async fn commit_batch(&self, batch: &FetchBatch) -> Result<()> {
        let after = self.after_batch(batch)?;
        self.commit_now(after).await
    }

    /// Commits exactly these offsets of assigned partitions, with a text beside each where one is given, and waits for the answer. This
    /// may go back.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned, and then nothing is committed; a text
    /// that is too long for the broker (`OFFSET_METADATA_TOO_LARGE`); else as [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// Dropped, the offsets may be committed or not.
    pub async fn commit_offsets<O: Into<OffsetAndMetadata>>(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<()> {
        let named = self.named(offsets)?;
        self.commit_now(named).await
    }

    /// As [`commit`](Self::commit), and does not wait: the commit goes on by itself.
    pub fn commit_async(&self) -> PendingCommit {
        let partitions = self.core().partitions().into_iter();
        let offsets = partitions.filter_map(|partition| {
            let offset = partition.to_commit()?;
            Some((partition, offset))
        });
        let gone = self.core().gone_uncommitted();
        self.core().later.add(offsets, gone)
    }

    /// As [`commit_record`](Self::commit_record), and does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn commit_record_async(&self, record: &ConsumerRecord) -> Result<PendingCommit> {
        Ok(self.core().later.add(self.after_record(record)?, Ok(())))
    }

    /// As [`commit_batch`](Self::commit_batch), and does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn commit_batch_async(&self, batch: &FetchBatch) -> Result<PendingCommit> {
        Ok(self.core().later.add(self.after_batch(batch)?, Ok(())))
    }

    /// As [`commit_offsets`](Self::commit_offsets), and does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn commit_offsets_async<O: Into<OffsetAndMetadata>>(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<PendingCommit> {
        Ok(self.core().later.add(self.named(offsets)?, Ok(())))
    }

    fn after_record(&self, record: &ConsumerRecord) -> Result<Vec<(Arc<Partition>, Committable)>> {
        let place = TopicPartition {
            topic: record.topic.clone(),
            partition: record.partition,
        };
        self.after(&place, record.offset.next(), record.leader_epoch)
    }

    fn after_batch(&self, batch: &FetchBatch) -> Result<Vec<(Arc<Partition>, Committable)>> {
        let (next, epoch) = (batch.next_offset(), batch.leader_epoch());
        self.after(batch.topic_partition(), next, epoch)
    }

    fn after(
        &self,
        place: &TopicPartition,
        next: Offset,
        epoch: Option<milena_core::LeaderEpoch>,
    ) -> Result<Vec<(Arc<Partition>, Committable)>> {
        let partition = self.core().partition(place)?;
        let offset = partition.to_commit_after(next, epoch);
        Ok(offset
            .map(|offset| (partition, offset))
            .into_iter()
            .collect())
    }

    fn named<O: Into<OffsetAndMetadata>>(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<Vec<(Arc<Partition>, Committable)>> {
        let named = offsets.into_iter().map(|(place, offset)| {
            let partition = self.core().partition(&place)?;
            let offset = partition.to_commit_as(offset.into());
            Ok((partition, offset))
        });
        named.collect()
    }

    async fn commit_now(&self, offsets: Vec<(Arc<Partition>, Committable)>) -> Result<()> {
        commit::commit_these(self.core(), || offsets, Effort::of_user(self.core())).await
    }

    /// Ends in good order: no record is dispatched any more, lanes drain, a handler's offsets are committed, the group is left.
    ///
    /// Waits for lanes at most the drain timeout. What was received without a handler must be committed before.
    pub async fn close(&self) {
        commit::flush(self.core()).await;
        self.engine.close().await;
    }

    /// The topics that it subscribed to, and those there are now that its pattern fits.
    #[must_use]
    pub fn subscription(&self) -> BTreeSet<TopicName> {
        let subscription = self.core().group.subscription.borrow();
        subscription.resolve(&self.core().cluster.metadata())
    }

    /// What the group has committed, asked of the coordinator; `None` where it has committed nothing.
    ///
    /// # Errors
    /// Why the coordinator did not tell, after it was asked again for the API timeout.
    pub async fn committed(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>> {
        let found = self.committed_offsets(places).await?.into_iter();
        let offsets = found.map(|(place, found)| (place, found.map(|found| found.offset)));
        Ok(offsets.collect())
    }

    /// As [`committed`](Self::committed), with the epoch and the text that were committed beside each offset.
    ///
    /// # Errors
    /// As [`committed`](Self::committed).
    pub async fn committed_offsets(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Option<OffsetAndMetadata>>> {
        let places: Vec<_> = places.into_iter().collect();
        let deadline = Instant::now() + self.core().cluster.api_timeout();
        let mut attempt = 0;
        loop {
            let error = match self.committed_once(&places).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let wait = self.core().cluster.backoff().delay(attempt);
            if !error.is_retriable() || Instant::now() + wait >= deadline {
                return Err(error);
            }
            attempt += 1;
            sleep(wait).await;
        }
    }

    async fn committed_once(
        &self,
        places: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Option<OffsetAndMetadata>>> {
        let mut found = committed::committed(self.core(), places).await?;
        let entry = |place: &TopicPartition| match found.remove(place) {
            Some(Ok(found)) => Ok((place.clone(), found)),
            Some(Err(code)) => Err(Error::broker(code).api("OffsetFetch").at(place)),
            None => Ok((place.clone(), None)),
        };
        places.iter().map(entry).collect()
    }

    /// Who this member is in its group, for transactional producers.
    #[must_use]
    pub fn group_metadata(&self) -> GroupMetadata {
        let membership = self.core().membership.borrow().clone();
        let settings = &self.core().settings;
        GroupMetadata {
            group: settings.group_name().into(),
            generation: membership.as_ref().map(|m| m.generation),
            member: membership.map_or_else(|| "".into(), |m| m.member),
            instance: settings.instance.clone(),
        }
    }
}

crate::reader::reading!(Consumer);

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("group", &self.core().settings.group_name())
            .field("assignment", &self.assignment())
            .finish_non_exhaustive()
    }
}
