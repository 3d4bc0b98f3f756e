//! Code that an outer layer runs around a handler's call for several records.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Incoming, Outcome, ProcessError};

/// The future of a handler's answers for several records, in their order.
pub type BatchAnswers = Pin<Box<dyn Future<Output = Vec<Result<Outcome, ProcessError>>> + Send>>;

/// Wraps a handler's call for several records, for example in a span that links to the span of each
/// record.
///
/// A layer puts it into a record's extensions. If several records of a batch have one, the first
/// record's is used. A call for one record is not wrapped, because it happens inside that record's
/// own layers.
#[derive(Clone)]
pub struct BatchScope(Arc<Around>);

type Around = dyn Fn(&[Incoming]) -> BatchWrap + Send + Sync;

/// The wrapper of one call, made for its records.
pub type BatchWrap = Box<dyn FnOnce(BatchAnswers) -> BatchAnswers + Send>;

impl BatchScope {
    /// Creates a scope that calls `around` with the records of a call.
    pub fn new(around: impl Fn(&[Incoming]) -> BatchWrap + Send + Sync + 'static) -> Self {
        Self(Arc::new(around))
    }

    /// Returns the wrapper for a call with these records. `None` for fewer than two records, or if
    /// none has a scope.
    #[must_use]
    pub fn of(records: &[Incoming]) -> Option<BatchWrap> {
        let [_, _, ..] = records else { return None };
        let mut records_with = records.iter();
        let scope = records_with.find_map(|record| record.extensions.get::<Self>())?;
        Some((scope.0)(records))
    }
}

impl fmt::Debug for BatchScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchScope").finish_non_exhaustive()
    }
}
