//! The consumer of a group. It is the program's handle on the tasks that do the work.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use milena_core::{
    BoxError, ConsumerRecord, Error, GroupMetadata, Incoming, Offset, Outcome, Result, Routes,
    TopicName, TopicPartition,
};
use milena_fetch::FetchBatch;
use milena_lanes::{IntoRoutes, ShutdownHandle};
use milena_pool::Cluster;
use tokio::time::{Instant, sleep};
use tower_service::Service;

use crate::builder::ConsumerBuilder;
use crate::commit::committed::CommittedOffsets;
use crate::commit::committer::{Committer, Effort};
use crate::commit::later::PendingCommit;
use crate::commit::offset_and_metadata::OffsetAndMetadata;
use crate::core::Core;
use crate::engine::Engine;
use crate::gauges;
use crate::partition::{Committable, Committing, Partition};
use crate::receiver::Receiver;
use crate::run::{self, Run, RunUntil};
use crate::settings::Settings;
use crate::spawned::RunningConsumer;

/// Reads topics as a member of a consumer group.
///
/// **A record that cannot be processed ends the whole consumer**, unless a layer handles it.
/// [`run`](Self::run) then returns an error that names topic, partition and offset. Before that,
/// the other lanes drain and their offsets are committed. No record is lost, and the error cannot
/// be missed. A dead letter layer in the handler's stack lets the consumer continue after such
/// records. [`on_lane_stop`](crate::ConsumerBuilder::on_lane_stop) with
/// [`LaneStopPolicy::Pause`](crate::LaneStopPolicy::Pause) stops only the record's partition.
///
/// The consumer joins the group at the first [`run`](Self::run), [`recv`](Self::recv) or
/// [`recv_batch`](Self::recv_batch). With `run`, a handler gets the records and offsets are
/// committed after processing. Without a handler, receive records and call [`commit`](Self::commit)
/// once they are done. A consumer that is dropped without [`close`](Self::close) ends at once and
/// commits nothing more. Its partitions go to other members when its session times out.
///
/// A consumer that cannot continue ends by itself. It gives its partitions back and leaves the
/// group, even if the program calls no method. A panic on one of its tasks ends it too, for example
/// in a listener, an assignor, a recorder or a clock
/// ([`ErrorKind::Panicked`](milena_core::ErrorKind::Panicked)). A panic of the handler is
/// different. It counts as an error for the record that the handler had.
///
/// While the group's coordinator is unreachable, the consumer keeps its partitions and continues to
/// read them. No other member can get them meanwhile. Offsets that could not be committed are
/// committed once the coordinator answers again. A member that did not run for a whole session, for
/// example on a suspended machine, gives up its partitions before it contacts the coordinator.
///
/// Heartbeats are sent by a task of their own, so a program that stopped calling
/// [`recv`](Self::recv) keeps its partitions. If records wait for longer than
/// [`max_processing_time`](crate::ConsumerBuilder::max_processing_time), the consumer reports that.
/// With [`StuckPolicy::StopLane`](crate::StuckPolicy::StopLane) the consumer then ends, and other
/// members read the records.
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
/// The classic group protocol. KIP-394 (member ids), KIP-345 (static members), KIP-227 (fetch
/// sessions).
pub struct Consumer {
    /// The tasks of this consumer. They end when it is dropped.
    engine: Arc<Engine>,
    /// State of `recv` and its relatives. Unused while a handler runs.
    receiver: Receiver,
}

impl Consumer {
    /// Returns a builder for a consumer of `group` (`group.id`) on `cluster`.
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

    /// Processes records with a handler until the consumer ends, and returns what was done.
    ///
    /// Takes a stack, a router, a cloneable tower service, or an async function of extractors. The
    /// run ends when the [`shutdown_handle`](Self::shutdown_handle) asks for it, when a handler
    /// answers [`Outcome::Stop`], or at an error that it cannot recover from. In each case lanes
    /// drain, offsets are committed and the group is left before this returns.
    ///
    /// If no layer retries, a record that failed is tried again in place, with a bounded backoff
    /// (`max_attempts`). A record that can be neither processed nor dead-lettered stops its lane.
    /// See [`LaneStopPolicy`](crate::LaneStopPolicy).
    ///
    /// # Errors
    /// An error for a topic that does not exist, for a group that cannot be joined, for a lane that
    /// stopped (with the record's topic, partition and offset), and for a fatal error of the
    /// handler. [`ErrorKind::State`](milena_core::ErrorKind::State) if the consumer runs already.
    ///
    /// # Cancel safety
    /// If the future is dropped, everything ends at once. The next owner of the partitions reads
    /// again what was not committed.
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

    /// Processes records like [`run`](Self::run), but in a task of its own. Use it in a program
    /// that also serves something else.
    ///
    /// The returned handle is a future of the report. Its [`stop`](RunningConsumer::stop) shuts the
    /// consumer down gracefully. An error or a panic of the run is logged and is also returned by
    /// the handle.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> milena_core::Result<()> {
    /// # use milena_consumer::Consumer;
    /// # use milena_core::Text;
    /// # use milena_pool::Cluster;
    /// # let broker = milena_broker::Broker::builder().topic("orders", 3).start().await?;
    /// # let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
    /// # let cluster = cluster.connect().await?;
    /// let consumer = Consumer::builder(cluster, "billing").topics(["orders"]).build()?;
    /// let mut running = consumer.spawn(async |Text(order): Text| println!("{order}"));
    /// # let serve = async {};
    /// tokio::select! {
    ///     () = serve => {} // a server that ends at a signal
    ///     ended = &mut running => { ended?; } // the consumer could not continue
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

    /// Commits everything that [`recv`](Self::recv) and [`recv_batch`](Self::recv_batch) returned,
    /// and waits for the answer.
    ///
    /// While a handler runs, this commits the records that the handler has finished.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) if the group went on without this
    /// member, or if a partition was revoked before its records were committed. The partition's
    /// next owner then reads these records again. A revoked partition is reported once, and the
    /// offsets of the other partitions are committed nevertheless. Otherwise the broker's refusal,
    /// or a timeout.
    ///
    /// # Cancel safety
    /// If the future is dropped, the offsets may be committed or not.
    pub async fn commit(&self) -> Result<()> {
        let partitions = self.core().assignment.partitions();
        let effort = Effort::of_user(&self.core().cluster);
        Committer::of(self.core())
            .commit(&partitions, effort)
            .await?;
        self.core().assignment.gone_uncommitted()
    }

    /// Commits that this record and all records before it in its partition are done, and waits for
    /// the answer.
    ///
    /// Never moves the committed offset back. Nothing happens if this offset or a higher one is
    /// committed already. Nothing happens either if a [`seek`](Self::seek) or a commit of a named
    /// offset came after this call, or if the partition was revoked and assigned again since the
    /// record was received.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    /// Otherwise as for [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// If the future is dropped, the offset may be committed or not.
    pub async fn commit_record(&self, record: &ConsumerRecord) -> Result<()> {
        let after = self.after_record(record)?;
        self.commit_now(after).await
    }

    /// Commits that all records of this batch are done, with the rules of
    /// [`commit_record`](Self::commit_record).
    ///
    /// # Errors
    /// As for [`commit_record`](Self::commit_record).
    ///
    /// # Cancel safety
    /// If the future is dropped, the offset may be committed or not.
    pub async fn commit_batch(&self, batch: &FetchBatch) -> Result<()> {
        let after = self.after_batch(batch)?;
        self.commit_now(after).await
    }

    /// Commits exactly these offsets of assigned partitions, and waits for the answer. An offset
    /// may be lower than the one committed before. A text that is given with an offset is committed
    /// with it.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    /// Nothing is committed then. An error for a text that is too long for the broker
    /// (`OFFSET_METADATA_TOO_LARGE`). Otherwise as for [`commit`](Self::commit).
    ///
    /// # Cancel safety
    /// If the future is dropped, the offsets may be committed or not.
    pub async fn commit_offsets<O: Into<OffsetAndMetadata>>(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<()> {
        let named = self.named(offsets)?;
        self.commit_now(named).await
    }

    /// Starts a [`commit`](Self::commit) and returns without waiting. The commit continues in the
    /// background.
    pub fn commit_async(&self) -> PendingCommit {
        let partitions = self.core().assignment.partitions().into_iter();
        let offsets = partitions.filter_map(|partition| {
            let offset = Committing::of(&partition).next()?;
            Some((partition, offset))
        });
        let gone = self.core().assignment.gone_uncommitted();
        self.core().commits.later().add(offsets, gone)
    }

    /// Starts a [`commit_record`](Self::commit_record) and returns without waiting.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn commit_record_async(&self, record: &ConsumerRecord) -> Result<PendingCommit> {
        Ok(self
            .core()
            .commits
            .later()
            .add(self.after_record(record)?, Ok(())))
    }

    /// Starts a [`commit_batch`](Self::commit_batch) and returns without waiting.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn commit_batch_async(&self, batch: &FetchBatch) -> Result<PendingCommit> {
        Ok(self
            .core()
            .commits
            .later()
            .add(self.after_batch(batch)?, Ok(())))
    }

    /// Starts a [`commit_offsets`](Self::commit_offsets) and returns without waiting.
    ///
    /// # Errors
    /// [`ErrorKind::State`](milena_core::ErrorKind::State) for a partition that is not assigned.
    pub fn commit_offsets_async<O: Into<OffsetAndMetadata>>(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<PendingCommit> {
        Ok(self
            .core()
            .commits
            .later()
            .add(self.named(offsets)?, Ok(())))
    }

    /// Returns the offset behind `record` to commit. Empty if that much is committed already.
    fn after_record(&self, record: &ConsumerRecord) -> Result<Vec<(Arc<Partition>, Committable)>> {
        let place = TopicPartition {
            topic: record.topic.clone(),
            partition: record.partition,
        };
        self.after(&place, record.offset.next(), record.leader_epoch)
    }

    /// Returns the offset behind `batch` to commit. Empty if that much is committed already.
    fn after_batch(&self, batch: &FetchBatch) -> Result<Vec<(Arc<Partition>, Committable)>> {
        let (next, epoch) = (batch.next_offset(), batch.leader_epoch());
        self.after(batch.topic_partition(), next, epoch)
    }

    /// Returns `next` as an offset to commit for the partition at `place`. Empty if the offset is
    /// not to be committed.
    fn after(
        &self,
        place: &TopicPartition,
        next: Offset,
        epoch: Option<milena_core::LeaderEpoch>,
    ) -> Result<Vec<(Arc<Partition>, Committable)>> {
        let partition = self.core().assignment.partition(place)?;
        let offset = Committing::of(&partition).after(next, epoch);
        Ok(offset
            .map(|offset| (partition, offset))
            .into_iter()
            .collect())
    }

    /// Returns the offsets that the user named, to commit as they are.
    fn named<O: Into<OffsetAndMetadata>>(
        &self,
        offsets: impl IntoIterator<Item = (TopicPartition, O)>,
    ) -> Result<Vec<(Arc<Partition>, Committable)>> {
        let named = offsets.into_iter().map(|(place, offset)| {
            let partition = self.core().assignment.partition(&place)?;
            let offset = Committing::of(&partition).named(offset.into());
            Ok((partition, offset))
        });
        named.collect()
    }

    /// Commits these offsets as a user's commit, and waits for the answer.
    async fn commit_now(&self, offsets: Vec<(Arc<Partition>, Committable)>) -> Result<()> {
        let effort = Effort::of_user(&self.core().cluster);
        Committer::of(self.core())
            .commit_these(|| offsets, effort)
            .await
    }

    /// Shuts down gracefully. No more records go to handlers, lanes drain, the handler's offsets
    /// are committed, and the group is left.
    ///
    /// Waits for lanes for at most the drain timeout. Records that were received without a handler
    /// must be committed before this call.
    pub async fn close(&self) {
        // The commit task stops as soon as the consumer closes, so asynchronous commits are sent
        // first.
        Committer::of(self.core()).flush().await;
        self.engine.close().await;
    }

    /// Returns the subscribed topics, and the existing topics that match the subscribed pattern.
    #[must_use]
    pub fn subscription(&self) -> BTreeSet<TopicName> {
        let subscription = self.core().group.subscription.borrow();
        subscription.resolve(&self.core().cluster.metadata())
    }

    /// Asks the coordinator which offsets the group has committed. Returns `None` for a partition
    /// without a committed offset.
    ///
    /// # Errors
    /// The coordinator's refusal, or the last failure once retries have used up the API timeout.
    pub async fn committed(
        &self,
        places: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Option<Offset>>> {
        let found = self.committed_offsets(places).await?.into_iter();
        let offsets = found.map(|(place, found)| (place, found.map(|found| found.offset)));
        Ok(offsets.collect())
    }

    /// Asks the coordinator for the committed offsets, like [`committed`](Self::committed). Each
    /// comes with the leader epoch and the text that were committed with it.
    ///
    /// # Errors
    /// As for [`committed`](Self::committed).
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

    /// Asks the coordinator once. The answer has an entry for each of `places`.
    async fn committed_once(
        &self,
        places: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Option<OffsetAndMetadata>>> {
        let mut found = CommittedOffsets::of(self.core()).fetch(places).await?;
        let entry = |place: &TopicPartition| match found.remove(place) {
            Some(Ok(found)) => Ok((place.clone(), found)),
            Some(Err(code)) => Err(Error::broker(code).api("OffsetFetch").at(place)),
            None => Ok((place.clone(), None)),
        };
        places.iter().map(entry).collect()
    }

    /// Returns this member's identity in its group. Transactional producers need it.
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
