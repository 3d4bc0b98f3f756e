//! Named, scripted faults: what goes wrong, for which requests, how often.

mod fault;
mod hits;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::watch;

pub use fault::Fault;
pub(crate) use fault::{Action, Step, Subject};
pub(crate) use hits::Hits;

use crate::cluster::Cluster;
use crate::view::View;

/// The faults of a cluster; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    any: AtomicBool,
    cluster: OnceLock<Weak<Cluster>>,
    scripted: Mutex<Vec<Arc<Scripted>>>,
}

/// A fault that was added.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) fault: Fault,
    /// The cluster when the fault was added, for those that answer with an old picture.
    view: Option<Arc<View>>,
    seen: AtomicU32,
    fired: watch::Sender<u32>,
}

/// Watches one fault.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    scripted: Arc<Scripted>,
    faults: Faults,
}

/// Watches one fault and panics when it is dropped before the fault has fired as often as it was to.
#[derive(Debug)]
#[must_use = "dropped at once, it fails at once"]
pub struct FaultGuard(FaultHandle);

impl Faults {
    /// Adds a fault; earlier ones are tried first, and all that match a request apply to it.
    pub fn add(&self, fault: Fault) -> FaultHandle {
        let view = match &fault.action {
            Action::StaleMetadata => self.cluster().map(|cluster| Arc::new(View::of(&cluster))),
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

    /// Ties the faults to their cluster.
    pub(crate) fn bind(&self, cluster: &Arc<Cluster>) {
        // Bound once, when the cluster is made.
        let _ = self.0.cluster.set(Arc::downgrade(cluster));
    }

    fn cluster(&self) -> Option<Arc<Cluster>> {
        self.0.cluster.get()?.upgrade()
    }

    /// Adds a fault that fails the test where it does not fire as often as it was to.
    pub fn guard(&self, fault: Fault) -> FaultGuard {
        FaultGuard(self.add(fault))
    }

    /// Takes all faults away.
    pub fn clear(&self) {
        self.0.scripted.lock().clear();
        self.0.any.store(false, Ordering::Release);
    }

    /// The faults that have not yet fired as often as they were to.
    pub fn unfired(&self) -> Vec<String> {
        let scripted = self.0.scripted.lock();
        scripted
            .iter()
            .filter(|each| !each.is_spent())
            .map(|each| each.describe())
            .collect()
    }

    /// Holds that every fault has fired as often as it was to.
    ///
    /// # Panics
    /// When one has not; the message names each.
    #[track_caller]
    pub fn assert_all_fired(&self) {
        let unfired = self.unfired();
        assert!(
            unfired.is_empty(),
            "faults that did not fire: {}",
            unfired.join("; ")
        );
    }

    /// Whether there are faults at all.
    pub(crate) fn any(&self) -> bool {
        self.0.any.load(Ordering::Acquire)
    }

    /// The faults that apply to this request; each counts it.
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

impl Scripted {
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

    fn is_spent(&self) -> bool {
        self.fired() >= self.fault.times.unwrap_or(1)
    }

    fn describe(&self) -> String {
        let wanted = self
            .fault
            .times
            .map_or("at least 1".to_owned(), |times| times.to_string());
        format!("{} (fired {} of {wanted})", self.fault.name(), self.fired())
    }
}

impl FaultHandle {
    /// How often it has fired.
    pub fn fired(&self) -> u32 {
        self.scripted.fired()
    }

    /// Waits until it has fired `times` times; without a deadline.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn wait_fired(&self, times: u32) {
        let mut fired = self.scripted.fired.subscribe();
        // The sender lives in `self`.
        let _ = fired.wait_for(|count| *count >= times).await;
    }

    /// Takes the fault away.
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
    /// The handle of the guarded fault.
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
