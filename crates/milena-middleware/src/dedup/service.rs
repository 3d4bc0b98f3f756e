//! The service that passes over what is done.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use milena_core::{Backoff, BoxError, ConsumerRecord, Gate, Incoming, Outcome};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
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
    /// Identities that are being processed, each with the queue for it.
    pub(super) busy: Mutex<HashMap<Bytes, Queue>>,
}

type Queue = Arc<tokio::sync::Mutex<()>>;

/// A place in the queue for an identity, and then the turn to process it; lets the next one in when dropped.
struct Turn<D> {
    ledger: Arc<Ledger<D>>,
    identity: Bytes,
    queue: Option<Queue>,
    turn: Option<OwnedMutexGuard<()>>,
}

impl<D> Drop for Turn<D> {
    fn drop(&mut self) {
        self.turn = None;
        let mut busy = self.ledger.busy.lock();
        self.queue = None;
        // The last one takes the queue along.
        if busy
            .get(&self.identity)
            .is_some_and(|queue| Arc::strong_count(queue) == 1)
        {
            busy.remove(&self.identity);
        }
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
    let mut turn = Turn::queue(&ledger, &identity);
    let mut waited = !turn.is_next();
    if waited {
        // A permit must not be kept while another record is in the way.
        inner = inner.clone();
        if !turn.wait(&incoming).await {
            return Ok(unsettled());
        }
    }
    let done = match ledger.store.contains(&identity).await {
        Ok(done) => Some(done),
        Err(error) => {
            // Nor while the store is down.
            inner = inner.clone();
            waited = true;
            ledger.ask_again(error, &identity, &incoming).await
        }
    };
    match done {
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

fn unsettled() -> Outcome {
    Outcome::retry("the partition is given back before it is known whether this was done")
}

impl<D> Turn<D> {
    fn queue(ledger: &Arc<Ledger<D>>, identity: &Bytes) -> Self {
        let mut busy = ledger.busy.lock();
        let queue = busy.entry(identity.clone()).or_default();
        Self {
            ledger: Arc::clone(ledger),
            identity: identity.clone(),
            queue: Some(Arc::clone(queue)),
            turn: None,
        }
    }

    /// Takes the turn where nobody else has it.
    fn is_next(&mut self) -> bool {
        let queue = self.queue.clone();
        self.turn = queue.and_then(|queue| queue.try_lock_owned().ok());
        self.turn.is_some()
    }

    /// Waits for the turn; `false` when the partition is given back first.
    async fn wait(&mut self, incoming: &Incoming) -> bool {
        let Some(queue) = self.queue.clone() else {
            return false;
        };
        tokio::select! {
            biased;
            () = incoming.stopping.cancelled() => false,
            turn = queue.lock_owned() => {
                self.turn = Some(turn);
                true
            }
        }
    }
}

impl<D: DedupStore> Ledger<D> {
    /// Asks until the store answers, after it did not; `None` when the partition is given back first.
    async fn ask_again(
        &self,
        mut error: BoxError,
        identity: &Bytes,
        incoming: &Incoming,
    ) -> Option<bool> {
        let mut failures = 0;
        loop {
            let reason = classify(error).chain();
            tracing::warn!(error = %reason, "the dedup store does not answer; its lane waits");
            self.gate
                .close(format!("the dedup store does not answer: {reason}"));
            tokio::select! {
                biased;
                () = incoming.stopping.cancelled() => return None,
                () = sleep(self.backoff.delay(failures)) => {}
            }
            failures += 1;
            match self.store.contains(identity).await {
                Ok(done) => {
                    self.gate.open();
                    return Some(done);
                }
                Err(again) => error = again,
            }
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
