//! The producer as a user of its cluster. The cluster lets it deliver the records that it accepted
//! before connections end.

use std::sync::{Arc, Weak};

use milena_core::{CancelToken, Gauge};
use milena_pool::{BoxFuture, ClusterUser};

use crate::enqueue::inner::Inner;
use crate::send::task::SendTask;

/// The cluster's handle on a producer. The sender's task keeps it alive, and outlives the last
/// producer handle until all is sent.
pub(crate) struct SenderEnd {
    /// The producer. Gone once its last handle is dropped.
    inner: Weak<Inner>,
    /// Cancelled once the sender's task has ended.
    ended: CancelToken,
}

impl SenderEnd {
    pub(crate) fn new(producer: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::downgrade(producer),
            ended: CancelToken::new(),
        })
    }

    /// Runs the sender to its end, and reports the end.
    pub(crate) async fn run(self: Arc<Self>, task: SendTask) {
        let _ended = Tell(self.ended.clone());
        task.run().await;
    }
}

/// Reports the end when dropped, even if the sender's task is cut off.
struct Tell(CancelToken);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl ClusterUser for SenderEnd {
    fn end(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(inner) = self.inner.upgrade() {
                let timeout = inner.settings.flows.longest_timeout();
                // The deliveries report the records that could not be delivered.
                let _ = inner.close(timeout).await;
            }
            self.ended.cancelled().await;
        })
    }

    fn read_gauges(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        if let Some(inner) = self.inner.upgrade() {
            inner.read_gauges(sink);
        }
    }
}
