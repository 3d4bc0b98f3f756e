//! The tasks of a cluster: counted, so that a shutdown can wait for the last.

use std::future::Future;
use std::sync::Arc;

use milena_core::CancelToken;
use tokio::sync::watch;

/// Starts tasks that end when the cluster stops.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    stop: CancelToken,
    running: Arc<watch::Sender<usize>>,
}

impl Tasks {
    pub(crate) fn new(stop: CancelToken) -> Self {
        Self {
            stop,
            running: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Runs `task` until it ends or the cluster stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.running.send_modify(|count| *count += 1);
        let running = Running(Arc::clone(&self.running));
        let stop = self.stop.clone();
        tokio::spawn(async move {
            let _running = running;
            tokio::select! {
                () = task => {}
                () = async { stop.cancelled().await; } => {}
            }
        });
    }

    /// Waits until no task is left.
    pub(crate) async fn ended(&self) {
        let mut running = self.running.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = running.wait_for(|count| *count == 0).await;
    }
}

#[derive(Debug)]
struct Running(Arc<watch::Sender<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
