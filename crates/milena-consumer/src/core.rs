//! State that the tasks of a consumer share. It holds the assignment, the membership, the signals
//! between the tasks, and the reason for the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use milena_core::{
    CancelToken, ConsumerEnd, Error, ErrorKind, Event, Gauge, NodeId, Observers, Offset, Reason,
    RebalancePhase, Result, TopicPartition,
};
use milena_fetch::{Budget, Openers, Unpacker};
use milena_lanes::{End, Pause, PauseHolder};
use milena_pool::{Cluster, Connection, CoordinatorKey, OwnConnections, Role};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::baseline::Baseline;
use crate::committing::Later;
use crate::group::signals::Signals;
use crate::group::verdict_watch::VerdictWatch;
use crate::partition::{FetchFrom, Partition, PartitionWakes};
use crate::settings::Settings;
use crate::standing::Standing;
use crate::touched::Touched;

/// State that all tasks of one consumer share. Lives until the consumer and its tasks are gone.
pub(crate) struct Core {
    /// The cluster that the consumer reads from.
    pub(crate) cluster: Cluster,
    /// Connections that only this consumer uses. A fetch blocks its connection at the broker, so a
    /// shared one would delay the requests of other consumers.
    pub(crate) connections: OwnConnections,
    /// The settings as `build` checked them. They never change.
    pub(crate) settings: Settings,
    /// The bytes that fetched records hold, against `buffer_memory`.
    pub(crate) budget: Arc<Budget>,
    /// Wakes the fetcher when a partition may have become fetchable or memory was freed.
    pub(crate) fetch: Arc<Notify>,
    /// Partitions that changed since the fetcher last looked at them. Partitions add themselves.
    pub(crate) touched: Arc<Touched<Partition>>,
    /// Partitions that may have records for a receiver. Turned off once a handler runs.
    pub(crate) readable: Arc<Touched<Partition>>,
    /// Wakes the task that looks positions up.
    pub(crate) lookup: Notify,
    /// Wakes all receivers (`recv` and its relatives) when there may be a record or the consumer
    /// ended.
    pub(crate) ready: Arc<Notify>,
    /// Cancelled when the consumer is to shut down gracefully. Shutdown handles cancel it, and so
    /// does an end that no caller asked for.
    pub(crate) closing: CancelToken,
    /// Cancelled when the consumer is to end at once, without draining or committing.
    pub(crate) at_once: CancelToken,
    /// Has one permit, held during a commit. Commits therefore go out one at a time, so that an
    /// older offset never overtakes a newer one.
    pub(crate) committing: Semaphore,
    /// Asynchronous commits that the commit task sends before its next interval.
    pub(crate) later: Later,
    /// Opens large compressed batches beside their readers.
    pub(crate) openers: Arc<Openers<Partition>>,
    /// True once a handler runs, unless `manual_commit` is set. The commit task then commits each
    /// interval.
    pub(crate) auto_commit: AtomicBool,
    /// Requests from the program to the group's task, such as a new subscription.
    pub(crate) group: Signals,
    /// The current membership, written by the group's task. `None` outside the group.
    pub(crate) membership: Standing,
    /// The latest verdict of the coordinator on a membership. The group's task acts on it.
    pub(crate) verdict: VerdictWatch,
    /// Counts for the report of a run.
    pub(crate) counts: Counts,
    /// The assigned partitions by topic and number. Changed by the group's task, or by `assign` and
    /// `unassign` without a group.
    assignment: Mutex<Assignment>,
    /// The partitions that existed when the consumer subscribed. Needed for `OffsetReset::Latest`.
    pub(crate) baseline: Mutex<Baseline>,
    /// Partitions that were revoked with uncommitted records, until a commit of the user reports
    /// them.
    gone: Mutex<BTreeSet<TopicPartition>>,
    /// The same partitions as in `assignment`, as a list to be read without a lock. Replaced with
    /// each change of `assignment`.
    listed: ArcSwap<Vec<Arc<Partition>>>,
    /// The tokio runtime that the tasks run on. Empty until the consumer starts.
    runtime: OnceLock<Handle>,
    /// The handler, if one runs.
    lanes: Mutex<Processing>,
    /// The reason for the end. `None` while the consumer lives. The first reason is kept.
    end: watch::Sender<Option<End>>,
}

/// Assigned partitions by topic and number.
type Assignment = BTreeMap<TopicPartition, Arc<Partition>>;

/// The assigned partitions at one moment.
pub(crate) type PartitionList = Arc<Vec<Arc<Partition>>>;

/// The user of the consumer's records.
enum Processing {
    /// No handler. The records are received, or not asked for yet.
    Nobody,
    /// A handler that runs in these lanes.
    Lanes(Arc<dyn Lanes>),
    /// A handler ran and was dropped with everything that it captured. No other handler is
    /// accepted.
    Over,
}

/// Counts of what a consumer has done since it was built.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Unreadable batches that were skipped.
    pub(crate) corrupt: AtomicU64,
    /// Commits that were sent, including those that failed.
    pub(crate) commits: AtomicU64,
    /// The offset that was committed last, by partition.
    pub(crate) committed: Mutex<BTreeMap<TopicPartition, Offset>>,
}

/// The lanes of a handler, without the handler's type.
pub(crate) trait Lanes: Send + Sync {
    /// Starts the lanes of a partition. Called once for each partition.
    fn start(&self, partition: &Arc<Partition>);

    /// Passes the gauges of the routes to `sink`.
    fn read_gauges(&self, group: &str, sink: &mut dyn FnMut(Gauge<'_>));

    /// Returns the name of a route.
    fn route_name(&self, route: usize) -> Arc<str>;
}

impl Core {
    pub(crate) fn new(cluster: Cluster, settings: Settings) -> Arc<Self> {
        let fetch = Arc::new(Notify::new());
        let ready = Arc::new(Notify::new());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let budget = Budget::new(settings.buffer_memory, Arc::clone(&fetch));
        let (checks, largest) = (settings.check_crcs, settings.max_batch_size);
        let unpacker = Unpacker::new(checks, largest, Arc::clone(&budget));
        Arc::new(Self {
            budget,
            openers: Openers::new(cores, unpacker, Arc::clone(&ready)),
            connections: OwnConnections::new(cluster.clone()),
            cluster,
            group: settings.signals(),
            settings,
            fetch,
            touched: Arc::default(),
            readable: Arc::default(),
            lookup: Notify::new(),
            ready,
            closing: CancelToken::new(),
            at_once: CancelToken::new(),
            committing: Semaphore::new(1),
            later: Later::default(),
            auto_commit: AtomicBool::new(false),
            membership: Standing::new(),
            verdict: VerdictWatch::new(),
            counts: Counts::default(),
            assignment: Mutex::default(),
            baseline: Mutex::default(),
            gone: Mutex::default(),
            listed: ArcSwap::default(),
            runtime: OnceLock::new(),
            lanes: Mutex::new(Processing::Nobody),
            end: watch::Sender::new(None),
        })
    }

    pub(crate) fn observers(&self) -> &Observers {
        &self.settings.observers
    }

    /// Returns the assigned partitions.
    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.listed.load().to_vec()
    }

    /// Returns the assigned partitions without copying the list. Drop the guard soon.
    pub(crate) fn listed(&self) -> arc_swap::Guard<Arc<Vec<Arc<Partition>>>> {
        self.listed.load()
    }

    /// Returns the assigned partitions as a shared list that may be kept.
    pub(crate) fn listed_now(&self) -> PartitionList {
        self.listed.load_full()
    }

    /// Publishes the assignment to `listed`. The caller holds the lock, so lists are published in
    /// the order of the changes.
    fn list(&self, assignment: &MutexGuard<'_, Assignment>) {
        let listed = assignment.values().cloned().collect();
        self.listed.store(Arc::new(listed));
    }

    /// Returns the tokio runtime that the tasks run on. `None` before the start.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    /// Notes the runtime of the tasks and reports the start to observers.
    pub(crate) fn run_on(&self, runtime: Handle) {
        // `set` succeeds once, so the start is reported once.
        if self.runtime.set(runtime).is_ok() {
            self.membership.begin();
            self.observers().emit(|| Event::ConsumerStarted {
                group: self.settings.group_name(),
            });
        }
    }

    /// Returns an assigned partition.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if it is not assigned.
    pub(crate) fn partition(&self, place: &TopicPartition) -> Result<Arc<Partition>> {
        let found = self.assignment.lock().get(place).cloned();
        found.ok_or_else(|| {
            Error::new(
                ErrorKind::State,
                "the partition is not assigned to this consumer",
            )
            .at(place)
        })
    }

    /// Returns topic and number of the assigned partitions.
    pub(crate) fn assigned(&self) -> Vec<TopicPartition> {
        self.assignment.lock().keys().cloned().collect()
    }

    /// Adds partitions to the assignment. A partition that was assigned before is fenced and
    /// replaced, and its lanes start again.
    pub(crate) fn assign(&self, places: impl IntoIterator<Item = (TopicPartition, FetchFrom)>) {
        self.assign_held(places, None);
    }

    /// Adds partitions like [`assign`](Self::assign). They start paused by this holder for this
    /// reason, if `hold` is given.
    pub(crate) fn assign_held(
        &self,
        places: impl IntoIterator<Item = (TopicPartition, FetchFrom)>,
        hold: Option<(&PauseHolder, &Reason)>,
    ) {
        let fresh: Vec<_> = places
            .into_iter()
            .map(|(place, start)| Partition::new(place, start, self.wakes()))
            .collect();
        if let Some((by, reason)) = hold {
            for partition in &fresh {
                self.hold(partition, by, reason);
            }
        }
        let mut assignment = self.assignment.lock();
        let place = |partition: &Arc<Partition>| partition.place().clone();
        let old: Vec<_> = fresh
            .iter()
            .filter_map(|partition| assignment.insert(place(partition), Arc::clone(partition)))
            .collect();
        self.list(&assignment);
        drop(assignment);
        for partition in &old {
            self.fence(partition);
        }
        if let Some(lanes) = self.lanes() {
            start(&*lanes, &fresh);
        }
        self.wake();
    }

    /// Fences partitions and removes them from the assignment. Nothing that their lanes still do
    /// counts.
    pub(crate) fn release(&self, partitions: &[Arc<Partition>]) {
        for partition in partitions {
            self.fence(partition);
        }
        self.forget(partitions);
    }

    /// Fences a partition. Remembers it in `gone` if records of it were done or handed out but not
    /// committed, so that the next commit of the user reports it.
    fn fence(&self, partition: &Partition) {
        if partition.fence() && self.settings.group.is_some() {
            self.gone.lock().insert(partition.place().clone());
        }
    }

    /// Reports partitions that were revoked since the last call with records that were done or
    /// handed out but not committed.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if there are any. It names the first one.
    pub(crate) fn gone_uncommitted(&self) -> Result<()> {
        let gone = std::mem::take(&mut *self.gone.lock());
        let Some(first) = gone.first() else {
            return Ok(());
        };
        let what = match gone.len() {
            1 => "the partition was revoked before its offset was committed: its next owner reads its records again"
                .to_owned(),
            count => format!(
                "{count} partitions were revoked before their offsets were committed: their next owners read their records again"
            ),
        };
        Err(Error::new(ErrorKind::State, what)
            .group(self.settings.group_name())
            .at(first))
    }

    /// Removes partitions from the assignment, unless they were replaced by newer ones meanwhile.
    pub(crate) fn forget(&self, partitions: &[Arc<Partition>]) {
        let mut assignment = self.assignment.lock();
        for partition in partitions {
            let same = assignment.get(partition.place());
            if same.is_some_and(|held| Arc::ptr_eq(held, partition)) {
                assignment.remove(partition.place());
            }
        }
        self.list(&assignment);
        drop(assignment);
        self.wake();
    }

    /// Returns the signals that a partition uses to wake the consumer's tasks.
    fn wakes(&self) -> PartitionWakes {
        PartitionWakes {
            fetch: Arc::clone(&self.fetch),
            touched: Arc::clone(&self.touched),
            ready: Arc::clone(&self.readable),
        }
    }

    /// Returns true if a handler runs and another topic can be read. A topic that this consumer may
    /// not read is then left out, instead of stopping everything.
    pub(crate) fn may_leave_out(&self, denied: &Partition) -> bool {
        let topic = &denied.place().topic;
        self.is_processing()
            && self
                .listed()
                .iter()
                .any(|each| each.place().topic != *topic && !each.is_denied())
    }

    /// Wakes the fetcher, the positions task and all receivers.
    pub(crate) fn wake(&self) {
        self.fetch.notify_one();
        self.lookup.notify_one();
        self.ready.notify_waiters();
    }

    /// Reports a step of a rebalance to observers.
    pub(crate) fn tell_rebalance(
        &self,
        generation: i32,
        phase: RebalancePhase,
        partitions: &[TopicPartition],
    ) {
        self.observers().emit(|| Event::Rebalance {
            group: self.settings.group_name(),
            generation,
            phase,
            partitions,
        });
    }

    /// Reports a failed fetch to observers. `partition` is `None` if the whole fetch failed.
    pub(crate) fn tell_fetch_failed(
        &self,
        node: NodeId,
        partition: Option<&TopicPartition>,
        error: &Error,
    ) {
        self.observers().emit(|| Event::FetchFailed {
            group: self.settings.group_name(),
            node,
            partition,
            error,
        });
    }

    /// Notes that the positions of these partitions could not be looked up, all for the same
    /// reason. Logs one line for the first failure in a row.
    pub(crate) fn lookups_failed<'p>(
        &self,
        partitions: impl Iterator<Item = &'p Arc<Partition>>,
        error: &Error,
    ) {
        let (now, mut first, mut count) = (Instant::now(), false, 0_usize);
        for partition in partitions {
            first |= partition.troubled_with_broker(now, error);
            count += 1;
            self.observers().emit(|| Event::LookupFailed {
                group: self.settings.group_name(),
                partition: partition.place(),
                error,
            });
        }
        if first {
            tracing::warn!(
                group = self.settings.group_name(), partitions = count, %error,
                "the positions of partitions cannot be looked up; they are looked up again"
            );
        }
    }

    /// Notes that the position of one partition could not be looked up.
    pub(crate) fn lookup_failed(&self, partition: &Partition, error: &Error) {
        let place = partition.place();
        if partition.troubled(Instant::now(), error) {
            tracing::warn!(
                group = self.settings.group_name(), partition = %place, %error,
                "the position of a partition cannot be looked up; it is looked up again"
            );
        }
        self.observers().emit(|| Event::LookupFailed {
            group: self.settings.group_name(),
            partition: place,
            error,
        });
    }

    /// Returns the lanes of the handler. `None` while no handler runs.
    pub(crate) fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        match &*self.lanes.lock() {
            Processing::Lanes(lanes) => Some(Arc::clone(lanes)),
            Processing::Nobody | Processing::Over => None,
        }
    }

    /// Lets `lanes` process the partitions that are assigned now and later.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if a handler runs or ran already.
    pub(crate) fn process_by(&self, lanes: &Arc<dyn Lanes>) -> Result<()> {
        let mut slot = self.lanes.lock();
        if !matches!(*slot, Processing::Nobody) {
            let what = "the consumer was run already: build another consumer for another handler";
            return Err(Error::new(ErrorKind::State, what));
        }
        *slot = Processing::Lanes(Arc::clone(lanes));
        let auto = !self.settings.manual_commit;
        self.auto_commit.store(auto, Ordering::Release);
        drop(slot);
        self.readable.turn_off();
        start(&**lanes, &self.partitions());
        Ok(())
    }

    /// Drops the handler with everything that it captured.
    pub(crate) fn process_no_more(&self) {
        let mut slot = self.lanes.lock();
        if let Processing::Lanes(_) = &*slot {
            let over = std::mem::replace(&mut *slot, Processing::Over);
            drop(slot);
            // Dropped without the lock. The handler is user code, and its destructor may call this
            // consumer.
            drop(over);
        }
    }

    /// Returns true once a handler runs, so that no other caller may receive records.
    pub(crate) fn is_processing(&self) -> bool {
        !matches!(*self.lanes.lock(), Processing::Nobody)
    }

    /// Returns the pauses of all assigned partitions.
    pub(crate) fn pauses(&self) -> Vec<Pause> {
        let partitions = self.partitions();
        partitions
            .iter()
            .flat_map(|partition| partition.pauses())
            .collect()
    }

    /// Adds `by` to the holders that keep the partition paused. Reports it if `by` did not hold it
    /// before.
    pub(crate) fn hold(&self, partition: &Partition, by: &PauseHolder, reason: &Reason) {
        if partition.pause(by, reason.clone()) {
            self.observers().emit(|| Event::Paused {
                group: self.settings.group_name(),
                partition: partition.place(),
                by: by.name(),
                reason,
            });
        }
    }

    /// Removes `by` from the holders of the pause. Reports it if the partition resumes.
    pub(crate) fn let_go(&self, partition: &Partition, by: &PauseHolder) {
        if partition.resume(by) {
            let place = partition.place();
            self.observers().emit(|| Event::Resumed {
                group: self.settings.group_name(),
                partition: place,
            });
        }
        self.wake();
    }

    /// Returns the key by which the cluster finds the group's coordinator.
    pub(crate) fn coordinator_key(&self) -> CoordinatorKey {
        CoordinatorKey::group(self.settings.group_name())
    }

    /// Returns the generation or the member epoch. -1 outside the group.
    pub(crate) fn generation(&self) -> i32 {
        let membership = self.membership.borrow();
        membership.as_ref().map_or(-1, |m| m.generation)
    }

    /// Returns a connection to the group's coordinator. Forgets the coordinator's address if the
    /// broker cannot be reached, so that it is looked up again.
    pub(crate) async fn coordinator(&self, role: Role) -> Result<Connection> {
        let key = self.coordinator_key();
        let node = self.cluster.coordinator(&key).await?;
        match self.connections.connection(node, role).await {
            Ok(connection) => Ok(connection),
            Err(error) => {
                self.cluster.forget_coordinator(&key);
                Err(error)
            }
        }
    }

    /// Forgets the coordinator, so that it is looked up again.
    pub(crate) fn relocate(&self) {
        self.cluster.forget_coordinator(&self.coordinator_key());
    }

    /// Ends the consumer with an error. Adds the group to the error, if there is one.
    pub(crate) fn fail(&self, error: Error) {
        let group = self.settings.group.clone();
        let error = match group {
            Some(group) => error.group(group),
            None => error,
        };
        self.end(End::Failed(error));
    }

    /// Ends the consumer. Only the first reason counts. The group's task then gives the partitions
    /// back and leaves.
    pub(crate) fn end(&self, end: End) {
        let mut told = None;
        self.end.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                told = Some(end.clone());
                *slot = Some(end);
            }
            first
        });
        if let Some(End::Failed(_) | End::Stopped(_)) = told {
            // The program may never call `recv` again. Without this the consumer would keep its
            // partitions for ever.
            self.closing.cancel();
        }
        if let Some(end) = told.filter(|_| self.runtime().is_some()) {
            let group = self.settings.group_name();
            match &end {
                // The runtime or the cluster ended first, as at the end of a program. That is not
                // worth an error.
                End::Failed(error) if error.kind() == ErrorKind::Closed => {
                    tracing::warn!(group, %error, "the consumer cannot continue");
                }
                // The caller of `run` gets the error too. A consumer in a task of its own may have
                // no caller that looks.
                End::Failed(error) => {
                    tracing::error!(group, ?error, "the consumer cannot continue");
                }
                End::Stopped(_) | End::Closed => {}
            }
            self.observers().emit(|| Event::ConsumerEnded {
                group,
                end: match &end {
                    End::Closed => ConsumerEnd::Closed,
                    End::Stopped(reason) => ConsumerEnd::Stopped(reason),
                    End::Failed(error) => ConsumerEnd::Failed(error),
                },
            });
        }
        self.ready.notify_waiters();
    }

    /// Reports a start and an end to observers if `run` failed before the tasks started. Once they
    /// have started, `end` reports it.
    pub(crate) fn may_not_start(&self, error: &Error) {
        if self.runtime().is_none() {
            let group = self.settings.group_name();
            let end = ConsumerEnd::Failed(error);
            self.observers().emit(|| Event::ConsumerStarted { group });
            self.observers()
                .emit(|| Event::ConsumerEnded { group, end });
        }
    }

    /// Returns the reason for the end. `None` while the consumer lives.
    pub(crate) fn ended(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    /// Waits until the consumer ends, and returns the reason.
    pub(crate) async fn until_end(&self) -> End {
        let mut end = self.end.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(End::Closed),
            Err(_) => End::Closed,
        }
    }
}

/// Starts the lanes of partitions that have none yet. An assignment and the start of a handler may
/// happen at the same time, so each partition takes its lanes only once.
fn start(lanes: &dyn Lanes, partitions: &[Arc<Partition>]) {
    for partition in partitions.iter().filter(|each| each.take_lanes()) {
        lanes.start(partition);
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
