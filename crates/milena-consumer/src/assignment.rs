//! The partitions that are assigned to a consumer, and the handler that gets their records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use milena_core::{Error, ErrorKind, Gauge, Reason, Result, TopicPartition};
use milena_lanes::{Pause, PauseHolder};
use parking_lot::{Mutex, MutexGuard};

use crate::commit::commits::Commits;
use crate::partition::{FetchFrom, Partition};
use crate::pausing::Pausing;
use crate::wakes::Wakes;

/// The partitions that are assigned to a consumer, and the handler that gets their records.
pub(crate) struct Assignment {
    /// The name of the group. `None` without a group.
    group: Option<Arc<str>>,
    /// Pauses partitions that the rebalance listener holds back.
    pausing: Pausing,
    /// Woken with each change.
    wakes: Arc<Wakes>,
    /// The assigned partitions by topic and number. Changed by the group's task, or by `assign` and
    /// `unassign` without a group.
    partitions: Mutex<Assigned>,
    /// The same partitions as in `partitions`, as a list to be read without a lock. Replaced with
    /// each change of `partitions`.
    listed: ArcSwap<Vec<Arc<Partition>>>,
    /// Partitions that were revoked with uncommitted records, until a commit of the user reports
    /// them.
    gone: Mutex<BTreeSet<TopicPartition>>,
    /// The handler, if one runs.
    lanes: Mutex<Processing>,
}

/// Assigned partitions by topic and number.
type Assigned = BTreeMap<TopicPartition, Arc<Partition>>;

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

/// The lanes of a handler, without the handler's type.
pub(crate) trait Lanes: Send + Sync {
    /// Starts the lanes of a partition. Called once for each partition.
    fn start(&self, partition: &Arc<Partition>);

    /// Passes the gauges of the routes to `sink`.
    fn read_gauges(&self, group: &str, sink: &mut dyn FnMut(Gauge<'_>));

    /// Returns the name of a route.
    fn route_name(&self, route: usize) -> Arc<str>;
}

impl Assignment {
    /// Returns an assignment without partitions.
    pub(crate) fn new(group: Option<Arc<str>>, pausing: Pausing, wakes: Arc<Wakes>) -> Self {
        Self {
            group,
            pausing,
            wakes,
            partitions: Mutex::default(),
            listed: ArcSwap::default(),
            gone: Mutex::default(),
            lanes: Mutex::new(Processing::Nobody),
        }
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
    fn list(&self, assignment: &MutexGuard<'_, Assigned>) {
        let listed = assignment.values().cloned().collect();
        self.listed.store(Arc::new(listed));
    }

    /// Returns an assigned partition.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if it is not assigned.
    pub(crate) fn partition(&self, place: &TopicPartition) -> Result<Arc<Partition>> {
        let found = self.partitions.lock().get(place).cloned();
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
        self.partitions.lock().keys().cloned().collect()
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
                self.pausing.hold(partition, by, reason);
            }
        }
        let mut assignment = self.partitions.lock();
        let place = |partition: &Arc<Partition>| partition.place().clone();
        let old: Vec<_> = fresh
            .iter()
            .filter_map(|partition| assignment.insert(place(partition), Arc::clone(partition)))
            .collect();
        // Fenced before the new ones are listed. The fetcher must not find both to be fetched.
        for partition in &old {
            self.fence(partition);
        }
        self.list(&assignment);
        drop(assignment);
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
        if partition.fence() && self.group.is_some() {
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
            .group(self.group.clone().unwrap_or_default())
            .at(first))
    }

    /// Removes partitions from the assignment, unless they were replaced by newer ones meanwhile.
    pub(crate) fn forget(&self, partitions: &[Arc<Partition>]) {
        let mut assignment = self.partitions.lock();
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

    /// Returns the lanes of the handler. `None` while no handler runs.
    pub(crate) fn lanes(&self) -> Option<Arc<dyn Lanes>> {
        match &*self.lanes.lock() {
            Processing::Lanes(lanes) => Some(Arc::clone(lanes)),
            Processing::Nobody | Processing::Over => None,
        }
    }

    /// Lets `lanes` process the partitions that are assigned now and later. Their offsets are
    /// committed at each interval if `automatic` is true.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if a handler runs or ran already.
    pub(crate) fn process_by(
        &self,
        lanes: &Arc<dyn Lanes>,
        commits: &Commits,
        automatic: bool,
    ) -> Result<()> {
        let mut slot = self.lanes.lock();
        if !matches!(*slot, Processing::Nobody) {
            let what = "the consumer was run already: build another consumer for another handler";
            return Err(Error::new(ErrorKind::State, what));
        }
        *slot = Processing::Lanes(Arc::clone(lanes));
        commits.set_automatic(automatic);
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
}

/// Starts the lanes of partitions that have none yet. An assignment and the start of a handler may
/// happen at the same time, so each partition takes its lanes only once.
fn start(lanes: &dyn Lanes, partitions: &[Arc<Partition>]) {
    for partition in partitions.iter().filter(|each| each.take_lanes()) {
        lanes.start(partition);
    }
}
