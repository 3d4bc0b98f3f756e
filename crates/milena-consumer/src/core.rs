//! State that the tasks of a consumer share. It holds the assignment, the membership, the signals
//! between the tasks, and the reason for the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;
use milena_core::{
    Error, ErrorKind, Event, Gauge, NodeId, Observers, Reason, RebalancePhase, Result,
    TopicPartition,
};
use milena_fetch::{Budget, Openers, Unpacker};
use milena_lanes::{Pause, PauseHolder};
use milena_pool::{Cluster, Connection, CoordinatorKey, OwnConnections, Role};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::baseline::Baseline;
use crate::commit::commits::Commits;
use crate::group::signals::Signals;
use crate::group::verdict_watch::VerdictWatch;
use crate::lifecycle::Lifecycle;
use crate::partition::{FetchFrom, Partition};
use crate::settings::Settings;
use crate::standing::Standing;
use crate::wakes::Wakes;

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
    /// The signals by which the tasks wake each other.
    pub(crate) wakes: Wakes,
    /// The start and the end of the consumer.
    pub(crate) lifecycle: Lifecycle,
    /// Commits, and what was committed.
    pub(crate) commits: Commits,
    /// Opens large compressed batches beside their readers.
    pub(crate) openers: Arc<Openers<Partition>>,
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
    /// The handler, if one runs.
    lanes: Mutex<Processing>,
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
        let wakes = Wakes::default();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let budget = Budget::new(settings.buffer_memory, Arc::clone(&wakes.fetch));
        let (checks, largest) = (settings.check_crcs, settings.max_batch_size);
        let unpacker = Unpacker::new(checks, largest, Arc::clone(&budget));
        Arc::new(Self {
            budget,
            openers: Openers::new(cores, unpacker, Arc::clone(&wakes.ready)),
            connections: OwnConnections::new(cluster.clone()),
            cluster,
            lifecycle: Lifecycle::new(
                settings.group.clone(),
                settings.observers.clone(),
                Arc::clone(&wakes.ready),
            ),
            wakes,
            group: settings.signals(),
            settings,
            commits: Commits::new(),
            membership: Standing::new(),
            verdict: VerdictWatch::new(),
            counts: Counts::default(),
            assignment: Mutex::default(),
            baseline: Mutex::default(),
            gone: Mutex::default(),
            listed: ArcSwap::default(),
            lanes: Mutex::new(Processing::Nobody),
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

    /// Notes the runtime of the tasks and reports the start to observers.
    pub(crate) fn run_on(&self, runtime: Handle) {
        // Only the first call reports the start.
        if self.lifecycle.run_on(runtime) {
            self.membership.begin();
            self.lifecycle.tell_start();
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
            .map(|(place, start)| Partition::new(place, start, self.wakes.of_partition()))
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
        self.wakes.wake();
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
        self.wakes.wake();
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
        self.commits.set_automatic(auto);
        drop(slot);
        self.wakes.readable.turn_off();
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
        self.wakes.wake();
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
