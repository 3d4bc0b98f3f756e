//! A gate, with which a layer stops the records of its route and says why.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use crate::Reason;
use crate::wakers::Wakers;

/// A switch that a layer closes while it cannot serve records, such as an open circuit breaker.
///
/// The driver watches the gates of each route. While a gate is closed it pauses the partitions of
/// that route under the gate's name, so that nothing is fetched for a dependency that is down. All
/// clones share one state.
#[derive(Clone, Debug)]
pub struct Gate(Arc<SharedGate>);

#[derive(Debug)]
struct SharedGate {
    /// The name, for people. Several gates may have the same name.
    name: Arc<str>,
    /// Number that is unique among the gates of this process. Never 0.
    id: u64,
    /// The state now. Locked only for the length of a read or a change.
    state: Mutex<GateState>,
    /// Count of the changes of `state`. A watch compares it with the count that it saw last.
    version: AtomicU64,
    /// Wakers of the watches that wait for a change.
    wakers: Wakers,
}

/// The state of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateState {
    /// Records may pass.
    Open,
    /// Records wait, for this reason.
    Closed(Reason),
}

impl Gate {
    /// Creates an open gate. `name` tells people what closes it, such as `breaker:payments`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(SharedGate {
            name: name.into(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(GateState::Open),
            version: AtomicU64::new(0),
            wakers: Wakers::default(),
        }))
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns a number that is unique among the gates of this process. Clones share it. It is
    /// never 0.
    ///
    /// It distinguishes gates of several layers that have the same name.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Opens the gate. Does nothing if it is open.
    pub fn open(&self) {
        self.set(GateState::Open);
    }

    /// Closes the gate. A closed gate gets the new reason.
    pub fn close(&self, reason: impl Into<Reason>) {
        self.set(GateState::Closed(reason.into()));
    }

    /// Returns the state now.
    #[must_use]
    pub fn state(&self) -> GateState {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns true if records may pass now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner) == GateState::Open
    }

    /// Starts to watch the gate for changes from now on.
    #[must_use]
    pub fn watch(&self) -> GateWatch {
        GateWatch {
            gate: self.clone(),
            seen: self.0.version.load(Ordering::Acquire),
        }
    }

    /// Returns true if both are clones of one gate.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn set(&self, state: GateState) {
        let mut now = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == state {
            return;
        }
        *now = state;
        self.0.version.fetch_add(1, Ordering::AcqRel);
        // Wake after the lock is released, so that the woken tasks need not wait for it.
        drop(now);
        self.0.wakers.wake_all();
    }
}

/// Watches a gate for changes of its state. Several changes between two calls count as one.
#[derive(Clone, Debug)]
pub struct GateWatch {
    /// The gate that is watched.
    gate: Gate,
    /// The gate's version at the last call. A different version means that the state has changed.
    seen: u64,
}

impl GateWatch {
    /// Returns the gate.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Waits for a change since the last call, and returns the state after it.
    ///
    /// # Cancel safety
    /// If the future is dropped before it resolves, the next call still sees the change.
    pub async fn changed(&mut self) -> GateState {
        Changed {
            watch: self,
            id: None,
        }
        .await;
        self.gate.state()
    }
}

struct Changed<'a> {
    /// The watch whose version is updated when the future resolves.
    watch: &'a mut GateWatch,
    /// Registration in the gate's wakers. `None` before the first poll.
    id: Option<u64>,
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let inner = &this.watch.gate.0;
        inner.wakers.register(&mut this.id, cx);
        let version = inner.version.load(Ordering::Acquire);
        if version == this.watch.seen {
            return Poll::Pending;
        }
        this.watch.seen = version;
        Poll::Ready(())
    }
}

impl Drop for Changed<'_> {
    fn drop(&mut self) {
        self.watch.gate.0.wakers.forget(&mut self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_watcher_sees_the_gate_close_and_open() {
        let gate = Gate::new("breaker:payments");
        let mut watch = gate.watch();
        let watching = tokio::spawn(async move { (watch.changed().await, watch) });
        tokio::task::yield_now().await;
        gate.close("5 of 10 attempts failed");
        let (state, mut watch) = watching.await.unwrap();
        assert_eq!(state, GateState::Closed("5 of 10 attempts failed".into()));
        gate.open();
        assert_eq!(watch.changed().await, GateState::Open);
    }

    #[test]
    fn a_change_before_the_look_is_not_missed_and_setting_the_same_is_none() {
        let gate = Gate::new("limit");
        let mut watch = gate.watch();
        gate.open();
        assert!(watch.changed().now_or_never().is_none());
        gate.close("full");
        assert!(watch.changed().now_or_never().is_some());
        assert!(watch.changed().now_or_never().is_none());
    }
}
