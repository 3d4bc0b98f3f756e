//! Callbacks for the user's code when a rebalance assigns, revokes or loses partitions.

use std::future::Future;

use milena_core::TopicPartition;
use milena_pool::BoxFuture;

/// Callbacks for partitions that are assigned, revoked or lost.
///
/// The group's task awaits each call, at most for the drain timeout. Heartbeats and all other
/// partitions go on meanwhile. A callback must not wait for the end of the consumer. A callback
/// that panics ends the consumer, with an error that names it.
///
/// ```
/// use milena_consumer::RebalanceListener;
/// use milena_core::TopicPartition;
///
/// struct Caches;
///
/// impl RebalanceListener for Caches {
///     async fn assigned(&self, partitions: &[TopicPartition]) {
///         println!("warming up {partitions:?}");
///     }
/// }
/// ```
pub trait RebalanceListener: Send + Sync + 'static {
    /// Called once these partitions are assigned to this member. No record of them is delivered
    /// before this returns, so a seek made here loses nothing. Not called for an empty list.
    fn assigned(&self, partitions: &[TopicPartition]) -> impl Future<Output = ()> + Send {
        let _ = partitions;
        async {}
    }

    /// Called before these partitions go to other members. No more records of them are delivered,
    /// their handlers have ended, and a handler's offsets are committed. Offsets of records
    /// received without a handler can be committed here, for the last time. Not called for an empty
    /// list.
    fn revoked(&self, partitions: &[TopicPartition]) -> impl Future<Output = ()> + Send {
        let _ = partitions;
        async {}
    }

    /// Called after these partitions were lost. Other members may read them already, so nothing of
    /// them can be committed. Not called for an empty list.
    fn lost(&self, partitions: &[TopicPartition]) -> impl Future<Output = ()> + Send {
        let _ = partitions;
        async {}
    }
}

/// [`RebalanceListener`] in a form that works as a trait object.
pub(crate) trait Listener: Send + Sync {
    fn assigned<'a>(&'a self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, ()>;
    fn revoked<'a>(&'a self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, ()>;
    fn lost<'a>(&'a self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, ()>;
}

impl<L: RebalanceListener> Listener for L {
    fn assigned<'a>(&'a self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, ()> {
        Box::pin(RebalanceListener::assigned(self, partitions))
    }

    fn revoked<'a>(&'a self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, ()> {
        Box::pin(RebalanceListener::revoked(self, partitions))
    }

    fn lost<'a>(&'a self, partitions: &'a [TopicPartition]) -> BoxFuture<'a, ()> {
        Box::pin(RebalanceListener::lost(self, partitions))
    }
}
