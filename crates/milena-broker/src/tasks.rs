//! The tasks of a cluster. They are counted, so that a shutdown can wait for all of them.

use std::future::Future;
use std::sync::Arc;

use milena_core::CancelToken;
use tokio::sync::watch;

/// The spawner of tasks, which end when the cluster stops. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    /// Ends all tasks.
    stop: CancelToken,
    /// The number of running tasks. Only [`Running`] lowers it.
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
        // Cannot fail, because `self` holds the sender.
        let _ = running.wait_for(|count| *count == 0).await;
    }
}

/// A running task. Dropping it counts the task as ended, even if it panicked.
#[derive(Debug)]
struct Running(Arc<watch::Sender<usize>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
