//! The service that passes over records that are done.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use milena_core::{Backoff, BoxError, ConsumerRecord, Incoming, Outcome};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tokio::time::sleep;
use tower_service::Service;

use super::outage::Outage;
use super::store::DedupStore;
use crate::readiness::{classify, ready};

pub(super) type Identify = Arc<dyn Fn(&ConsumerRecord) -> Option<Bytes> + Send + Sync>;

/// The service that [`DedupLayer`](super::DedupLayer) makes.
pub struct Dedup<S, D> {
    inner: S,
    /// The state that all lanes share.
    ledger: Arc<Ledger<D>>,
}

/// The state that all lanes share.
pub(super) struct Ledger<D> {
    /// The kind of identity, for `explain`.
    pub(super) text: String,
    /// The identities of records that are done.
    pub(super) store: D,
    /// Finds the identity of a record.
    pub(super) identify: Identify,
    /// The gate that is closed while the store does not answer, and the records that wait for it.
    pub(super) outage: Outage,
    /// The wait between two requests to a store that does not answer.
    pub(super) backoff: Backoff,
    /// The identities that are being processed, each with its queue. An entry is removed with its
    /// last turn.
    pub(super) busy: Mutex<HashMap<Bytes, Queue>>,
}

type Queue = Arc<tokio::sync::Mutex<()>>;

/// A place in the queue of an identity, and later the turn to process it. Dropping it lets the next
/// record in.
struct Turn<D> {
    /// The state of the layer, which holds the queue.
    ledger: Arc<Ledger<D>>,
    /// The identity that the turn is for.
    identity: Bytes,
    /// The queue. Always `Some` until the drop, which counts the remaining holders.
    queue: Option<Queue>,
    /// The turn itself. `None` while this record waits in the queue.
    turn: Option<OwnedMutexGuard<()>>,
}

impl<D> Drop for Turn<D> {
    fn drop(&mut self) {
        self.turn = None;
        let mut busy = self.ledger.busy.lock();
        self.queue = None;
        // Only the map still holds the queue, so no other record waits for this identity.
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
        // A clone need not be ready, so the service that was polled ready is the one that is
        // called.
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
        // A clone holds no permit of the layers inside. A permit must not be kept while this record
        // waits for another one.
        inner = inner.clone();
        if !turn.wait(&incoming).await {
            return Ok(unsettled());
        }
    }
    let done = match ledger.store.contains(&identity).await {
        Ok(done) => Some(done),
        Err(error) => {
            // A permit must not be kept while the store does not answer either.
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
    Outcome::retry("the partition was given back before the dedup store answered")
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

    /// Takes the turn if no other record has it. Returns true if it did.
    fn is_next(&mut self) -> bool {
        let queue = self.queue.clone();
        self.turn = queue.and_then(|queue| queue.try_lock_owned().ok());
        self.turn.is_some()
    }

    /// Waits for the turn. Returns `false` if the partition must be given back first.
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
    /// Asks the store again until it answers. Returns `None` if the partition must be given back
    /// first.
    async fn ask_again(
        &self,
        mut error: BoxError,
        identity: &Bytes,
        incoming: &Incoming,
    ) -> Option<bool> {
        let wait = self.outage.wait();
        let mut failures = 0;
        loop {
            let reason = classify(error).chain();
            tracing::warn!(error = %reason, "the dedup store does not answer; its lane waits");
            wait.note(format!("the dedup store does not answer: {reason}"));
            tokio::select! {
                biased;
                () = incoming.stopping.cancelled() => return None,
                () = sleep(self.backoff.delay(failures)) => {}
            }
            failures += 1;
            match self.store.contains(identity).await {
                Ok(done) => {
                    wait.answered();
                    return Some(done);
                }
                Err(again) => error = again,
            }
        }
    }

    async fn mark(&self, identity: &Bytes) {
        if let Err(error) = self.store.insert(identity).await {
            let reason = classify(error).chain();
            tracing::warn!(error = %reason, "a record is done, but the dedup store could not mark it; a repeat of it will be processed again");
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
