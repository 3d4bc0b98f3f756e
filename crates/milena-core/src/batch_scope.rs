//! What a layer further out puts around a handler's call for several records.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::{Incoming, Outcome, ProcessError};

/// The answers of a handler's call for several records, in their order.
pub type BatchAnswers = Pin<Box<dyn Future<Output = Vec<Result<Outcome, ProcessError>>> + Send>>;

/// Puts something around a call for several records, such as a span that is linked with the span of each. A layer puts it among a record's
/// extensions; of those that the records of a batch bring, that of the first counts. A call for one record is a part of that record's own
/// way, and has none.
#[derive(Clone)]
pub struct BatchScope(Arc<Around>);

type Around = dyn Fn(&[Incoming]) -> BatchWrap + Send + Sync;

/// What is put around a call, made of its records.
pub type BatchWrap = Box<dyn FnOnce(BatchAnswers) -> BatchAnswers + Send>;

impl BatchScope {
    /// A scope that `around` makes of the records of a call.
    pub fn new(around: impl Fn(&[Incoming]) -> BatchWrap + Send + Sync + 'static) -> Self {
        Self(Arc::new(around))
    }

    /// What is to be put around a call for these records, if anything.
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
