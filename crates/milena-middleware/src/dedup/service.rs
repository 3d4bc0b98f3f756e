//! The service that passes over what is done.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use milena_core::{Backoff, BoxError, ConsumerRecord, Gate, Incoming, Outcome, ProcessError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::sleep;
use tower_service::Service;

use super::store::DedupStore;
use crate::readiness::{classify, ready};

pub(super) type Identify = Arc<dyn Fn(&ConsumerRecord) -> Option<Bytes> + Send + Sync>;

/// What [`DedupLayer`](super::DedupLayer) makes.
pub struct Dedup<S, D> {
    inner: S,
    ledger: Arc<Ledger<D>>,
}

/// What all lanes share.
pub(super) struct Ledger<D> {
    pub(super) text: String,
    pub(super) store: D,
    pub(super) identify: Identify,
    pub(super) gate: Gate,
    pub(super) backoff: Backoff,
    /// Identities that are being processed, each with the end of it.
    pub(super) busy: Mutex<HashMap<Bytes, watch::Receiver<()>>>,
}

/// The only one to process an identity; lets the next one in when dropped.
struct Turn<D> {
    ledger: Arc<Ledger<D>>,
    identity: Bytes,
    _end: watch::Sender<()>,
}

impl<D> Drop for Turn<D> {
    fn drop(&mut self) {
        self.ledger.busy.lock().remove(&self.identity);
    }
}

impl<S, D> Dedup<S, D> {
    pub(super) fn new(inner: S, ledger: Arc<Ledger<D>>) -> Self {
        Self { inner, ledger }
    }
}

impl<S, D> Service<Incoming> for Dedup<S, D>
where
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    D: DedupStore,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        // The one that was polled ready is the one that is called.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        Box::pin(once(inner, Arc::clone(&self.ledger), incoming))
    }
}

async fn once<S, D>(
    mut inner: S,
    ledger: Arc<Ledger<D>>,
    incoming: Incoming,
) -> Result<Outcome, BoxError>
where
    S: Service<Incoming, Response = Outcome> + Clone,
    S::Error: Into<BoxError>,
    D: DedupStore,
{
    let Some(identity) = (ledger.identify)(&incoming.record) else {
        return inner.call(incoming).await.map_err(Into::into);
    };
    let mut waited = false;
    let turn = loop {
        let other = match Turn::take(&ledger, &identity) {
            Ok(turn) => break turn,
            Err(other) => other,
        };
        if !waited {
            // A permit must not be kept while another record is in the way.
            inner = inner.clone();
            waited = true;
        }
        if !over(other, &incoming).await {
            return Ok(unsettled());
        }
    };
    match ledger.is_done(&identity, &incoming).await {
        None => return Ok(unsettled()),
        Some(true) => return Ok(Outcome::skip("it was done before")),
        Some(false) => {}
    }
    if waited {
        match ready(&mut inner, &incoming).await {
            None => return Ok(unsettled()),
            Some(ended) => ended?,
        }
    }
    let answer = inner.call(incoming).await.map_err(Into::into);
    if matches!(answer, Ok(Outcome::Ack)) {
        ledger.mark(&identity).await;
    }
    drop(turn);
    answer
}

/// Waits for the end of another one's turn; `false` when the partition is given back first.
async fn over(mut other: watch::Receiver<()>, incoming: &Incoming) -> bool {
    tokio::select! {
        biased;
        () = incoming.stopping.cancelled() => false,
        // Its sender is dropped with the turn.
        _ = other.changed() => true,
    }
}

fn unsettled() -> Outcome {
    Outcome::retry("the partition is given back before it is known whether this was done")
}

impl<D> Turn<D> {
    /// The turn, or the end of the one that is in the way.
    fn take(ledger: &Arc<Ledger<D>>, identity: &Bytes) -> Result<Self, watch::Receiver<()>> {
        let mut busy = ledger.busy.lock();
        if let Some(other) = busy.get(identity) {
            return Err(other.clone());
        }
        let (end, ended) = watch::channel(());
        busy.insert(identity.clone(), ended);
        Ok(Self {
            ledger: Arc::clone(ledger),
            identity: identity.clone(),
            _end: end,
        })
    }
}

impl<D: DedupStore> Ledger<D> {
    /// Asks until the store answers; `None` when the partition is given back first.
    async fn is_done(&self, identity: &Bytes, incoming: &Incoming) -> Option<bool> {
        let mut failures = 0;
        loop {
            let error: ProcessError = match self.store.contains(identity).await {
                Ok(done) => {
                    self.gate.open();
                    return Some(done);
                }
                Err(error) => classify(error),
            };
            let reason = error.chain();
            tracing::warn!(error = %reason, "the dedup store does not answer; its lane waits");
            self.gate
                .close(format!("the dedup store does not answer: {reason}"));
            tokio::select! {
                biased;
                () = incoming.stopping.cancelled() => return None,
                () = sleep(self.backoff.delay(failures)) => {}
            }
            failures += 1;
        }
    }

    async fn mark(&self, identity: &Bytes) {
        if let Err(error) = self.store.insert(identity).await {
            let reason = classify(error).chain();
            tracing::warn!(error = %reason, "a record is done, and the dedup store could not note it");
        }
    }
}

impl<S: Clone, D> Clone for Dedup<S, D> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.ledger))
    }
}

impl<S: fmt::Debug, D> fmt::Debug for Dedup<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dedup")
            .field("inner", &self.inner)
            .field("by", &self.ledger.text)
            .finish_non_exhaustive()
    }
}
