//! The interface of stores for the identities of records that are done.

use std::future::Future;

use bytes::Bytes;
use milena_core::BoxError;

/// A store for the identities of records that are done.
///
/// The store may forget old identities. It must not report an identity that was never inserted.
pub trait DedupStore: Send + Sync + 'static {
    /// Returns true if the record with this identity is done.
    ///
    /// # Errors
    /// Any error if the store does not answer. The layer then asks again.
    fn contains(&self, identity: &Bytes) -> impl Future<Output = Result<bool, BoxError>> + Send;

    /// Marks the record with this identity as done.
    ///
    /// # Errors
    /// Any error if the store does not answer. A repeat of the record is then not noticed.
    fn insert(&self, identity: &Bytes) -> impl Future<Output = Result<(), BoxError>> + Send;
}
