//! What the tasks of a consumer share: the assignment, the membership, the signals between them, and how it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use milena_core::{
    CancelToken, ConsumerEnd, Error, ErrorKind, Event, Gauge, NodeId, Observers, Offset, Reason,
    RebalancePhase, Result, TopicPartition,
};
use milena_pool::{Cluster, Connection, CoordinatorKey, OwnConnections, Role};
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::baseline::Baseline;
use crate::budget::Budget;
use crate::committing::Later;
use crate::group::{HELD, Signals};
use crate::member::{Membership, Pulse};
use crate::openers::Openers;
use crate::partition::{Partition, Place, Wakes};
use crate::pauses::{Holder, Pause};
use crate::settings::{LaneStopPolicy, Settings, StuckPolicy};
use crate::standing::Standing;
use crate::touched::Touched;

pub(crate) struct Core {
    pub(crate) cluster: Cluster,
    /// Its own: its requests park at brokers, and must not wait behind those of other consumers.
    pub(crate) connections: OwnConnections,
    pub(crate) settings: Settings,
    pub(crate) budget: Arc<Budget>,
    /// Wakes the fetcher: something became fetchable.
    pub(crate) fetch: Arc<Notify>,
    /// Partitions that the fetcher is to look at.
    pub(crate) touched: Arc<Touched>,
    /// Partitions of which there may be something to receive.
    pub(crate) readable: Arc<Touched>,
    /// Wakes who looks positions up.
    pub(crate) lookup: Notify,
    /// Wakes whoever receives record by record.
    pub(crate) ready: Notify,
    /// The consumer is to close in good order.
    pub(crate) closing: CancelToken,
    /// It is to end at once.
    pub(crate) at_once: CancelToken,
    /// One commit at a time, so that an older offset never overtakes a newer one.
    pub(crate) committing: Semaphore,
    /// What the commit task is to commit beside its interval.
    pub(crate) later: Later,
    /// Who opens large compressed batches beside their readers.
    pub(crate) openers: Openers,
    /// Whether offsets are committed by themselves: while a handler runs.
    pub(crate) auto_commit: AtomicBool,
    /// What the user asks of the group's task.
    pub(crate) group: Signals,
    pub(crate) membership: Standing,
    pub(crate) verdict: watch::Sender<Option<(Membership, Pulse)>>,
    pub(crate) counts: Counts,
    assignment: Mutex<Assignment>,
    /// Which partitions were there at first.
    pub(crate) baseline: Mutex<Baseline>,
    /// Partitions that went away with uncommitted records, until the user hears of it.
    gone: Mutex<BTreeSet<TopicPartition>>,
    /// The assignment as a list, for those who read it often.
    listed: ArcSwap<Vec<Arc<Partition>>>,
    runtime: OnceLock<Handle>,
    lanes: Mutex<Processing>,
    end: watch::Sender<Option<End>>,
}

type Assignment = BTreeMap<TopicPartition, Arc<Partition>>;

/// The assignment as it was at some moment.
pub(crate) type Listed = Arc<Vec<Arc<Partition>>>;

/// What processes records.
enum Processing {
    /// Nothing: they are received, or not asked for yet.
    Nobody,
    /// A handler, by its lanes.
    Lanes(Arc<dyn Lanes>),
    /// A handler did, and was let go with all that it captured. No other one is taken.
    Over,
}

/// Why a consumer ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// It was closed.
    Closed,
    /// A handler asked for it.
    Stopped(Reason),
    /// It could not go on.
    Failed(Error),
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) processed: Count,
    pub(crate) skipped: AtomicU64,
    pub(crate) dead_lettered: AtomicU64,
    pub(crate) forwarded: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) corrupt: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) committed: Mutex<BTreeMap<TopicPartition, Offset>>,
}

/// A count that every lane raises with every record: partitions have places of their own, since a shared one would be fetched from
/// core to core each time.
#[derive(Debug, Default)]
pub(crate) struct Count([CountPlace; 16]);

#[derive(Debug, Default)]
#[repr(align(128))]
struct CountPlace(AtomicU64);

impl Count {
    pub(crate) fn add_one(&self, of: &TopicPartition) {
        let at = of.partition.to_wire().unsigned_abs() as usize % self.0.len();
        if let Some(place) = self.0.get(at) {
            place.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn sum(&self) -> u64 {
        let places = self.0.iter();
        places.map(|place| place.0.load(Ordering::Relaxed)).sum()
    }
}

/// Starts what processes a partition's records.
pub(crate) trait Lanes: Send + Sync {
    fn start(&self, partition: &Arc<Partition>);

    /// Shows the figures of the routes.
    fn read_gauges(&self, group: &str, sink: &mut dyn FnMut(Gauge<'_>));

    /// The name of a route.
    fn route_name(&self, route: usize) -> Arc<str>;
}

impl Core {
    pub(crate) fn new(cluster: Cluster, settings: Settings) -> Arc<Self> {
        let fetch = Arc::new(Notify::new());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Arc::new(Self {
            budget: Budget::new(settings.buffer_memory, Arc::clone(&fetch)),
            connections: OwnConnections::new(cluster.clone()),
            cluster,
            group: settings.signals(),
            settings,
            fetch,
            touched: Arc::default(),
            readable: Arc::default(),
            lookup: Notify::new(),
            ready: Notify::new(),
            closing: CancelToken::new(),
            at_once: CancelToken::new(),
            committing: Semaphore::new(1),
            later: Later::default(),
            openers: Openers::new(cores),
            auto_commit: AtomicBool::new(false),
            membership: Standing::new(),
            verdict: watch::Sender::new(None),
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

    // The assignment.

    pub(crate) fn partitions(&self) -> Vec<Arc<Partition>> {
        self.listed.load().to_vec()
    }

    /// As [`partitions`](Self::partitions), at the cost of a reference.
    pub(crate) fn listed(&self) -> arc_swap::Guard<Arc<Vec<Arc<Partition>>>> {
        self.listed.load()
    }

    /// As [`listed`](Self::listed), to keep.
    pub(crate) fn listed_now(&self) -> Listed {
        self.listed.load_full()
    }

    fn list(&self, assignment: &MutexGuard<'_, Assignment>) {
        let listed = assignment.values().cloned().collect();
        self.listed.store(Arc::new(listed));
    }

    /// The runtime that its tasks run on, once it was started.
    pub(crate) fn runtime(&self) -> Option<&Handle> {
        self.runtime.get()
    }

    pub(crate) fn run_on(&self, runtime: Handle) {
        // Set once, when it is started.
        if self.runtime.set(runtime).is_ok() {
            self.membership.begin();
            self.observers().emit(|| Event::ConsumerStarted {
                group: self.settings.group_name(),
            });
        }
    }

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

    pub(crate) fn assigned(&self) -> Vec<TopicPartition> {
        self.assignment.lock().keys().cloned().collect()
    }

    /// Takes partitions on; each begins anew, and its lanes with it.
    pub(crate) fn assign(&self, places: impl IntoIterator<Item = (TopicPartition, Place)>) {
        self.assign_held(places, None);
    }

    /// As [`assign`](Self::assign), paused by `hold` where it is given.
    pub(crate) fn assign_held(
        &self,
        places: impl IntoIterator<Item = (TopicPartition, Place)>,
        hold: Option<&Arc<str>>,
    ) {
        let fresh: Vec<_> = places
            .into_iter()
            .map(|(place, start)| Partition::new(place, start, self.wakes()))
            .collect();
        if let Some(by) = hold {
            for partition in &fresh {
                self.pause(partition, by, &HELD);
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

    /// Lets partitions go: nothing of them counts from now on.
    pub(crate) fn release(&self, partitions: &[Arc<Partition>]) {
        for partition in partitions {
            self.fence(partition);
        }
        self.forget(partitions);
    }

    /// Fences a partition, and remembers it where its owner may still believe that it can commit what it has done of it.
    fn fence(&self, partition: &Partition) {
        if partition.fence() && self.settings.group.is_some() {
            self.gone.lock().insert(partition.place().clone());
        }
    }

    /// The partitions that went away since this was asked last, with records that were done, or given out, and not committed.
    pub(crate) fn gone_uncommitted(&self) -> Result<()> {
        let gone = std::mem::take(&mut *self.gone.lock());
        let Some(first) = gone.first() else {
            return Ok(());
        };
        let what = match gone.len() {
            1 => "the partition went away before its offset was committed: its records are read again by its next owner"
                .to_owned(),
            count => format!(
                "{count} partitions went away before their offsets were committed: their records are read again by their next owners"
            ),
        };
        Err(Error::new(ErrorKind::State, what)
            .group(self.settings.group_name())
            .at(first))
    }

    /// Takes partitions out of the assignment.
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

    fn wakes(&self) -> Wakes {
        Wakes {
            fetch: Arc::clone(&self.fetch),
            touched: Arc::clone(&self.touched),
            ready: Arc::clone(&self.readable),
        }
    }

    /// Whether a topic that may not be read can be left out while a handler works on others.
    pub(crate) fn may_leave_out(&self, denied: &Partition) -> bool {
        let topic = &denied.place().topic;
        self.is_processing()
            && self
                .listed()
                .iter()
                .any(|each| each.place().topic != *topic && !each.is_denied())
    }

    pub(crate) fn wake(&self) {
        self.fetch.notify_one();
        self.lookup.notify_one();
        self.ready.notify_waiters();
    }

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

    /// The positions of some partitions could not be looked up, for one reason.
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
                "where to read cannot be looked up; it is tried again"
            );
        }
    }

    /// The position of a partition could not be looked up.
    pub(crate) fn lookup_failed(&self, partition: &Partition, error: &Error) {
        let place = partition.place();
        if partition.troubled(Instant::now(), error) {
            tracing::warn!(
                group = self.settings.group_name(), partition = %place, %error,
                "where to read a partition cannot be looked up; it is tried again"
            );
        }
        self.observers().emit(|| Event::LookupFailed {
            group: self.settings.group_name(),
            partition: place,
            error,
        });
    }

    // Lanes.

    pub(crate) fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        match &*self.lanes.lock() {
            Processing::Lanes(lanes) => Some(Arc::clone(lanes)),
            Processing::Nobody | Processing::Over => None,
        }
    }

    /// From now on `lanes` process what is and will be assigned.
    ///
    /// # Errors
    /// [`ErrorKind::State`] when there are lanes already.
    pub(crate) fn process_by(&self, lanes: &Arc<dyn Lanes>) -> Result<()> {
        let mut slot = self.lanes.lock();
        if !matches!(*slot, Processing::Nobody) {
            let what = "the consumer runs already: build another one for another handler";
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

    /// Lets the handler go, with all that it captured.
    pub(crate) fn process_no_more(&self) {
        let mut slot = self.lanes.lock();
        if let Processing::Lanes(_) = &*slot {
            let over = std::mem::replace(&mut *slot, Processing::Over);
            drop(slot);
            // The user's own code, which may look at this consumer.
            drop(over);
        }
    }

    /// Whether a handler processes the records, so that nobody else may receive them.
    pub(crate) fn is_processing(&self) -> bool {
        !matches!(*self.lanes.lock(), Processing::Nobody)
    }

    /// The lane of `partition` cannot go on: red health, and whatever the policy says.
    pub(crate) fn lane_stopped(&self, partition: &Partition, route: &str, error: &Error) {
        let reason = error.to_string();
        tracing::error!(partition = %partition.place(), route, reason, "a lane stopped");
        self.observers().emit(|| Event::LaneStopped {
            group: self.settings.group_name(),
            partition: partition.place(),
            route,
            reason: &reason,
        });
        match self.settings.on_lane_stop {
            LaneStopPolicy::Stop => self.end(End::Failed(error.clone())),
            LaneStopPolicy::Pause => self.pause(partition, &"lane-stopped".into(), &reason.into()),
        }
    }

    /// A handler has had a record for longer than it may.
    pub(crate) fn handler_stuck(
        &self,
        partition: &Partition,
        route: &str,
        offset: Offset,
        elapsed: Duration,
        first: bool,
    ) {
        let place = partition.place();
        tracing::warn!(partition = %place, %offset, route, ?elapsed, "a handler has had a record for long");
        self.observers().emit(|| Event::HandlerStuck {
            group: self.settings.group_name(),
            partition: place,
            offset: offset.to_wire(),
            route,
            elapsed,
        });
        if first && self.settings.on_stuck == StuckPolicy::StopLane {
            let what = format!("the handler `{route}` has had a record for {elapsed:?}");
            let error = Error::new(ErrorKind::Timeout, what).at(place);
            partition.stop();
            self.lane_stopped(partition, route, &error.offset(offset));
        }
    }

    // Pausing.

    /// Who holds what paused.
    pub(crate) fn pauses(&self) -> Vec<Pause> {
        let partitions = self.partitions();
        partitions
            .iter()
            .flat_map(|partition| partition.pauses())
            .collect()
    }

    pub(crate) fn pause(&self, partition: &Partition, by: &Arc<str>, reason: &Reason) {
        self.hold(partition, &Holder::named(Arc::clone(by)), reason);
    }

    pub(crate) fn resume(&self, partition: &Partition, by: &str) {
        self.let_go(partition, &Holder::named(by));
    }

    pub(crate) fn hold(&self, partition: &Partition, by: &Holder, reason: &Reason) {
        if partition.pause(by, reason.clone()) {
            self.observers().emit(|| Event::Paused {
                group: self.settings.group_name(),
                partition: partition.place(),
                by: &by.name,
                reason,
            });
        }
    }

    pub(crate) fn let_go(&self, partition: &Partition, by: &Holder) {
        if partition.resume(by) {
            let place = partition.place();
            self.observers().emit(|| Event::Resumed {
                group: self.settings.group_name(),
                partition: place,
            });
        }
        self.wake();
    }

    // The coordinator.

    pub(crate) fn coordinator_key(&self) -> CoordinatorKey {
        CoordinatorKey::group(self.settings.group_name())
    }

    /// The generation or member epoch; -1 outside the group.
    pub(crate) fn generation(&self) -> i32 {
        let membership = self.membership.borrow();
        membership.as_ref().map_or(-1, |m| m.generation)
    }

    /// A connection to the group's coordinator.
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

    pub(crate) fn relocate(&self) {
        self.cluster.forget_coordinator(&self.coordinator_key());
    }

    /// What an answer said about a membership; the gravest word stands.
    pub(crate) fn tell_verdict(&self, membership: &Membership, pulse: Pulse) {
        let grave = |pulse: &Pulse| match pulse {
            Pulse::Alive | Pulse::Unsure { .. } => 0,
            Pulse::Rebalance => 1,
            Pulse::Superseded => 2,
            Pulse::Lost { .. } => 3,
            Pulse::Fail(_) => 4,
        };
        let rank = grave(&pulse);
        self.verdict.send_if_modified(|told| {
            let known = match told {
                Some((of, known)) if of == membership => grave(known),
                _ => 0,
            };
            if rank <= known {
                return false;
            }
            *told = Some((membership.clone(), pulse));
            true
        });
    }

    // The end.

    /// Ends the consumer by an error of its own tasks.
    pub(crate) fn fail(&self, error: Error) {
        let group = self.settings.group.clone();
        let error = match group {
            Some(group) => error.group(group),
            None => error,
        };
        self.end(End::Failed(error));
    }

    /// Ends the consumer, for the first reason that is given: the group's task gives back what it has, and leaves.
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
            // Whoever receives may never call again, and its partitions would be held for ever.
            self.closing.cancel();
        }
        if let Some(end) = told.filter(|_| self.runtime().is_some()) {
            let group = self.settings.group_name();
            match &end {
                // The runtime or the cluster was ended under it, as at the end of a program.
                End::Failed(error) if error.kind() == ErrorKind::Closed => {
                    tracing::warn!(group, %error, "the consumer cannot go on");
                }
                // Whoever asked has it too; one that runs in a task of its own may never be asked.
                End::Failed(error) => tracing::error!(group, ?error, "the consumer cannot go on"),
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

    /// Its program asked it to run, and it does not: unless its tasks had started, which tell by themselves.
    pub(crate) fn may_not_start(&self, error: &Error) {
        if self.runtime().is_none() {
            let group = self.settings.group_name();
            let end = ConsumerEnd::Failed(error);
            self.observers().emit(|| Event::ConsumerStarted { group });
            self.observers()
                .emit(|| Event::ConsumerEnded { group, end });
        }
    }

    /// Why it ended, when it has.
    pub(crate) fn ended(&self) -> Option<End> {
        self.end.borrow().clone()
    }

    /// Waits for the end.
    pub(crate) async fn until_end(&self) -> End {
        let mut end = self.end.subscribe();
        match end.wait_for(Option::is_some).await {
            Ok(end) => end.clone().unwrap_or(End::Closed),
            Err(_) => End::Closed,
        }
    }
}

/// Starts the lanes of partitions that have none yet: an assignment and the start of a handler may meet.
fn start(lanes: &dyn Lanes, partitions: &[Arc<Partition>]) {
    for partition in partitions.iter().filter(|each| each.take_lanes()) {
        lanes.start(partition);
    }
}
