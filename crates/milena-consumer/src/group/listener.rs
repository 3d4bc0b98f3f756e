//! The user's ear on rebalances: asynchronous, awaited where it may still act, and never for ever.

use std::future::Future;

use milena_core::TopicPartition;
use milena_pool::BoxFuture;
use tokio::time::timeout;

use crate::core::Core;
use crate::supervise::caught;

/// Hears of partitions that come and go.
///
/// Each call is awaited, at most the drain timeout, while heartbeats go on; partitions that the call is not about go on meanwhile. The
/// methods must not wait for the consumer's own end. One that panics ends the consumer, with an error that names it.
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
    /// These partitions are this member's now; nothing of them is delivered before this returns, so that a seek here loses nothing.
    /// Not called for none.
    fn assigned(&self, partitions: &[TopicPartition]) -> impl Future<Output = ()> + Send {
        let _ = partitions;
        async {}
    }

    /// These partitions go to others: nothing more of them is delivered, handlers have ended, and a handler's offsets are committed.
    /// What was received without a handler can be committed here, for the last time. Not called for none.
    fn revoked(&self, partitions: &[TopicPartition]) -> impl Future<Output = ()> + Send {
        let _ = partitions;
        async {}
    }

    /// These partitions are others' already: nothing of them can be committed. Not called for none.
    fn lost(&self, partitions: &[TopicPartition]) -> impl Future<Output = ()> + Send {
        let _ = partitions;
        async {}
    }
}

/// The same, for whoever holds it without knowing its type.
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

/// Awaits a call of `method`, at most the drain timeout; `false` where it panicked, which ends the consumer.
pub(super) async fn hear(core: &Core, method: &str, call: impl Future<Output = ()>) -> bool {
    let limit = core.settings.drain_timeout;
    let what = format!("the rebalance listener's `{method}`");
    match caught(&what, timeout(limit, call)).await {
        Ok(Ok(())) => true,
        Ok(Err(_)) => {
            let group = core.settings.group_name();
            tracing::warn!(
                group,
                method,
                ?limit,
                "a rebalance listener did not return in time and is left"
            );
            true
        }
        Err(error) => {
            core.fail(error);
            false
        }
    }
}
