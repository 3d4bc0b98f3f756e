//! Named, scripted faults. Each says which requests fail, how, and how often.

mod fault;
mod hits;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::watch;

pub use fault::Fault;
pub(crate) use fault::{Action, Step, Subject};
pub(crate) use hits::Hits;

use crate::view::View;

/// The faults of a cluster. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<SharedFaults>);

/// The state that all clones share.
#[derive(Default)]
struct SharedFaults {
    /// True while `scripted` is not empty. It spares requests without faults the lock.
    any: AtomicBool,
    /// Takes a snapshot of the cluster, for faults that answer with an old state. Set once, when
    /// the cluster is made.
    snapshot: OnceLock<Snapshot>,
    /// The faults that were added and not removed, in that order. Spent ones stay.
    scripted: Mutex<Vec<Arc<Scripted>>>,
}

/// A function that takes a snapshot of the cluster. It returns `None` once the cluster is gone.
type Snapshot = Box<dyn Fn() -> Option<View> + Send + Sync>;

/// A fault that was added, with its counts.
#[derive(Debug)]
pub(crate) struct Scripted {
    /// The fault.
    pub(crate) fault: Fault,
    /// The state of the cluster when the fault was added, for a fault that answers with it.
    view: Option<Arc<View>>,
    /// The number of requests that the filters selected.
    seen: AtomicU32,
    /// The number of requests that the fault was applied to.
    fired: watch::Sender<u32>,
}

/// A handle to watch one fault. Dropping it leaves the fault in place.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    /// The fault.
    scripted: Arc<Scripted>,
    /// The list that it is in.
    faults: Faults,
}

/// A guard of one fault. It panics when it is dropped before the fault has fired as often as it
/// should.
#[derive(Debug)]
#[must_use = "dropped at once, it fails at once"]
pub struct FaultGuard(FaultHandle);

impl Faults {
    /// Adds a fault. All faults that match a request apply to it, earlier ones first.
    ///
    /// # Panics
    /// If the fault is for an API that would ignore it. The message names the APIs that serve it.
    #[track_caller]
    pub fn add(&self, fault: Fault) -> FaultHandle {
        let defect = fault.defect();
        assert!(defect.is_none(), "{}", defect.unwrap_or_default());
        let view = match &fault.action {
            Action::StaleMetadata => self.0.snapshot.get().and_then(|take| take()).map(Arc::new),
            _ => None,
        };
        let scripted = Arc::new(Scripted {
            fault,
            view,
            seen: AtomicU32::new(0),
            fired: watch::Sender::new(0),
        });
        self.0.scripted.lock().push(Arc::clone(&scripted));
        self.0.any.store(true, Ordering::Release);
        FaultHandle {
            scripted,
            faults: self.clone(),
        }
    }

    /// Sets the function that takes snapshots of the cluster.
    pub(crate) fn bind(&self, snapshot: impl Fn() -> Option<View> + Send + Sync + 'static) {
        // Set only once, when the cluster is made.
        let _ = self.0.snapshot.set(Box::new(snapshot));
    }

    /// Adds a fault that fails the test if it does not fire as often as it should.
    ///
    /// # Panics
    /// If the fault is for an API that would ignore it, as [`add`](Self::add) does.
    #[track_caller]
    pub fn guard(&self, fault: Fault) -> FaultGuard {
        FaultGuard(self.add(fault))
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.0.scripted.lock().clear();
        self.0.any.store(false, Ordering::Release);
    }

    /// Returns the faults that have not fired as often as they should.
    pub fn unfired(&self) -> Vec<String> {
        let scripted = self.0.scripted.lock();
        scripted
            .iter()
            .filter(|each| !each.is_spent())
            .map(|each| each.describe())
            .collect()
    }

    /// Asserts that every fault has fired as often as it should.
    ///
    /// # Panics
    /// If one has not. The message names each.
    #[track_caller]
    pub fn assert_all_fired(&self) {
        let unfired = self.unfired();
        assert!(
            unfired.is_empty(),
            "faults that did not fire: {}",
            unfired.join("; ")
        );
    }

    /// Returns true if there are any faults.
    pub(crate) fn any(&self) -> bool {
        self.0.any.load(Ordering::Acquire)
    }

    /// Returns the faults that apply to this request. Each of them counts the request.
    pub(crate) fn hits(&self, subject: &Subject<'_>) -> Hits {
        let scripted = self.0.scripted.lock();
        Hits::new(
            scripted
                .iter()
                .filter(|each| each.takes(subject))
                .cloned()
                .collect(),
        )
    }
}

impl fmt::Debug for SharedFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFaults")
            .field("any", &self.any)
            .field("scripted", &self.scripted)
            .finish_non_exhaustive()
    }
}

impl Scripted {
    /// Counts the request if the filters select it. Returns true if the fault applies.
    fn takes(&self, subject: &Subject<'_>) -> bool {
        if !self.fault.matches(subject) {
            return false;
        }
        let seen = self.seen.fetch_add(1, Ordering::AcqRel);
        let fires = seen >= self.fault.skip
            && self
                .fault
                .times
                .is_none_or(|times| seen - self.fault.skip < times);
        if fires {
            self.fired.send_modify(|count| *count += 1);
        }
        fires
    }

    fn fired(&self) -> u32 {
        *self.fired.borrow()
    }

    /// Returns true if it has fired as often as it should.
    fn is_spent(&self) -> bool {
        self.fired() >= self.fault.times.unwrap_or(1)
    }

    /// Returns the name and the counts, for messages.
    fn describe(&self) -> String {
        let wanted = self
            .fault
            .times
            .map_or("at least 1".to_owned(), |times| times.to_string());
        format!("{} (fired {} of {wanted})", self.fault.name(), self.fired())
    }
}

impl FaultHandle {
    /// Returns the number of times that it has fired.
    pub fn fired(&self) -> u32 {
        self.scripted.fired()
    }

    /// Waits until it has fired `times` times, without a deadline.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn wait_fired(&self, times: u32) {
        let mut fired = self.scripted.fired.subscribe();
        // Cannot fail, because `self` holds the sender.
        let _ = fired.wait_for(|count| *count >= times).await;
    }

    /// Removes the fault.
    pub fn remove(&self) {
        let mut scripted = self.faults.0.scripted.lock();
        scripted.retain(|each| !Arc::ptr_eq(each, &self.scripted));
        self.faults
            .0
            .any
            .store(!scripted.is_empty(), Ordering::Release);
    }
}

impl FaultGuard {
    /// Returns the handle of the guarded fault.
    pub fn handle(&self) -> &FaultHandle {
        &self.0
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let scripted = &self.0.scripted;
            assert!(
                scripted.is_spent(),
                "a fault did not fire: {}",
                scripted.describe()
            );
        }
    }
}
