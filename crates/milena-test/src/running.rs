//! A consumer that runs beside a test.

use milena_client::consumer::{RunReport, ShutdownHandle};
use milena_client::core::{Error, ErrorKind, Result};
use tokio::task::JoinHandle;

/// A consumer at work. Dropped, it ends as by a crash: nothing more is committed, and the group is not left.
#[derive(Debug)]
pub struct Running {
    pub(crate) stop: ShutdownHandle,
    pub(crate) task: JoinHandle<Result<RunReport>>,
}

impl Running {
    /// Ends it in good order and gives its report.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn stop(self) -> Result<RunReport> {
        self.stop.shutdown();
        self.ended().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn ended(mut self) -> Result<RunReport> {
        (&mut self.task).await.unwrap_or_else(|cause| {
            let what = "the consumer's task was cut off";
            Err(Error::new(ErrorKind::State, what).with_source(cause))
        })
    }

    /// Ends it as a crash would.
    pub fn crash(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
