//! The layer that passes over records that are done.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use milena_core::{Backoff, ConsumerRecord, Gate};
use parking_lot::Mutex;
use tower_layer::Layer;

use super::outage::Outage;
use super::service::{Dedup, Identify, Ledger};
use super::store::DedupStore;
use crate::stack::{Kind, Profile, StackLayer};

/// Passes over records that are done. Belongs outside retry and inside the dead letter layer. A
/// clone shares store and gate.
pub struct DedupLayer<D> {
    ledger: Arc<Ledger<D>>,
}

impl<D: DedupStore> DedupLayer<D> {
    /// Creates a layer that identifies records by the value of the header `name`. A record without
    /// the header is always processed.
    #[must_use]
    pub fn by_header(name: impl Into<Arc<str>>, store: D) -> Self {
        let name = name.into();
        let text = format!("by the header `{name}`");
        Self::new(text, store, move |record| {
            let value = record.headers.get(&name)??;
            Some(Bytes::copy_from_slice(value))
        })
    }

    /// Creates a layer that identifies records by the result of `identify`. A record for which it
    /// returns `None` is always processed.
    #[must_use]
    pub fn by(
        store: D,
        identify: impl Fn(&ConsumerRecord) -> Option<Bytes> + Send + Sync + 'static,
    ) -> Self {
        Self::new("by an identity".to_owned(), store, identify)
    }

    /// Returns the gate that is closed while the store does not answer.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.ledger.outage.gate().clone()
    }

    fn new(
        text: String,
        store: D,
        identify: impl Fn(&ConsumerRecord) -> Option<Bytes> + Send + Sync + 'static,
    ) -> Self {
        let identify: Identify = Arc::new(identify);
        Self {
            ledger: Arc::new(Ledger {
                text,
                store,
                identify,
                outage: Outage::new(Gate::new("dedup")),
                backoff: Backoff::default(),
                busy: Mutex::default(),
            }),
        }
    }
}

impl<D> Clone for DedupLayer<D> {
    fn clone(&self) -> Self {
        Self {
            ledger: Arc::clone(&self.ledger),
        }
    }
}

impl<S, D: DedupStore> Layer<S> for DedupLayer<D> {
    type Service = Dedup<S, D>;

    fn layer(&self, inner: S) -> Dedup<S, D> {
        Dedup::new(inner, Arc::clone(&self.ledger))
    }
}

impl<D> StackLayer for DedupLayer<D> {
    fn profile(&self) -> Profile {
        Profile::new(Kind::Dedup, self.ledger.text.clone()).gate(self.ledger.outage.gate().clone())
    }
}

impl<D> fmt::Debug for DedupLayer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DedupLayer")
            .field(&self.ledger.text)
            .finish()
    }
}
