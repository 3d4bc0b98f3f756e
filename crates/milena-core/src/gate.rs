//! A gate: how a layer says that its route is not to be served for now, and why.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use crate::Reason;
use crate::wakers::Wakers;

/// Held open or closed by a layer that can be not ready, such as a circuit breaker.
///
/// The driver watches a route's gates: while one is closed it pauses the partitions of that route by the gate's name, so that
/// nothing is fetched for a dependency that is down. All clones share one state.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: Arc<str>,
    /// Tells it from every other gate of this process, whatever their names.
    id: u64,
    state: Mutex<GateState>,
    version: AtomicU64,
    wakers: Wakers,
}

/// Whether a gate is open, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateState {
    /// Records may pass.
    Open,
    /// Records wait, for this reason.
    Closed(Reason),
}

impl Gate {
    /// An open gate; `name` says who closes it, such as `breaker:payments`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Inner {
            name: name.into(),
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            state: Mutex::new(GateState::Open),
            version: AtomicU64::new(0),
            wakers: Wakers::default(),
        }))
    }

    /// Who closes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// A number that no other gate of this process has, and all clones of this one share; never 0. Two layers may give their gates one
    /// name: by this they are told apart.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Opens it; an open one stays as it is.
    pub fn open(&self) {
        self.set(GateState::Open);
    }

    /// Closes it, or gives a closed one a new reason.
    pub fn close(&self, reason: impl Into<Reason>) {
        self.set(GateState::Closed(reason.into()));
    }

    /// Its state now.
    #[must_use]
    pub fn state(&self) -> GateState {
        self.0
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether records may pass now.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self.0.state.lock().unwrap_or_else(PoisonError::into_inner) == GateState::Open
    }

    /// Watches it from now on.
    #[must_use]
    pub fn watch(&self) -> GateWatch {
        GateWatch {
            gate: self.clone(),
            seen: self.0.version.load(Ordering::Acquire),
        }
    }

    /// Whether both are clones of one gate.
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
        drop(now);
        self.0.wakers.wake_all();
    }
}

/// Sees each change of a gate's state; changes between two looks count as one.
#[derive(Clone, Debug)]
pub struct GateWatch {
    gate: Gate,
    seen: u64,
}

impl GateWatch {
    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Waits for a change since the last look, and gives the state then.
    ///
    /// # Cancel safety
    /// Dropped before it resolves, no change is missed.
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
    watch: &'a mut GateWatch,
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
