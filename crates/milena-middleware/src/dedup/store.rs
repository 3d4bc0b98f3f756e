//! Where identities of records that are done are kept.

use std::future::Future;

use bytes::Bytes;
use milena_core::BoxError;

/// Keeps the identities of records that are done.
///
/// It may forget old ones. It must not claim one that was never inserted.
pub trait DedupStore: Send + Sync + 'static {
    /// Whether the record of that identity is done.
    ///
    /// # Errors
    /// Where the store does not answer; it is asked again then.
    fn contains(&self, identity: &Bytes) -> impl Future<Output = Result<bool, BoxError>> + Send;

    /// Notes that the record of that identity is done.
    ///
    /// # Errors
    /// Where the store does not answer; a repeat of that record is not noticed then.
    fn insert(&self, identity: &Bytes) -> impl Future<Output = Result<(), BoxError>> + Send;
}
