//! The producer as a user of its cluster: it delivers what it accepted before the connections end.

use std::sync::{Arc, Weak};

use milena_core::{CancelToken, Gauge};
use milena_pool::{BoxFuture, ClusterUser};

use crate::enqueue::Inner;
use crate::producer::Producer;
use crate::sender::Sender;
use crate::service::Readiness;

/// What the cluster holds of a producer: kept by the task of its sender, which outlives the last handle until all is sent.
pub(crate) struct SenderEnd {
    inner: Weak<Inner>,
    ended: CancelToken,
}

impl SenderEnd {
    pub(crate) fn new(producer: &Arc<Inner>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::downgrade(producer),
            ended: CancelToken::new(),
        })
    }

    /// Runs the sender to its end, and tells.
    pub(crate) async fn run(self: Arc<Self>, sender: Sender) {
        let _ended = Tell(self.ended.clone());
        sender.run().await;
    }
}

/// Tells even where the sender's task is cut off.
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
                let producer = Producer {
                    inner,
                    readiness: Readiness::default(),
                };
                // What it could not deliver was told to who waits for it.
                let _ = producer.close(timeout).await;
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
