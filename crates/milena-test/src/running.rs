//! A consumer that runs beside a test.

use milena_client::consumer::{RunReport, ShutdownHandle};
use milena_client::core::{Error, ErrorKind, RecordMetadata, Result};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::kit::Kit;
use crate::processed::{Journal, Processed};

/// A consumer at work. Dropped, it ends as by a crash: nothing more is committed, and the group is not left.
#[derive(Debug)]
pub struct Running {
    pub(crate) stop: ShutdownHandle,
    pub(crate) task: JoinHandle<Result<RunReport>>,
    pub(crate) journal: Journal,
}

impl Running {
    /// What the layers let through so far, in the order in which it ended: each record once, and again for each time that the consumer
    /// itself tried it again.
    #[must_use]
    pub fn processed(&self) -> Vec<Processed> {
        self.journal.all()
    }

    /// Waits until the layers let so many results through, and gives them.
    ///
    /// # Panics
    /// When that takes longer than [`Kit::PATIENCE`], naming what came.
    pub async fn until_processed(&self, count: usize) -> Vec<Processed> {
        let enough = |all: &[Processed]| (all.len() >= count).then(|| all.to_vec());
        let waited = timeout(Kit::PATIENCE, self.journal.until(enough)).await;
        assert!(
            waited.is_ok(),
            "{} of {count} came:{}",
            self.count(),
            self.list()
        );
        waited.unwrap_or_default()
    }

    /// Waits until the record that was sent is settled, and gives what became of it.
    ///
    /// # Panics
    /// When that takes longer than [`Kit::PATIENCE`], naming what came.
    pub async fn until_settled(&self, sent: &RecordMetadata) -> Processed {
        let this = |all: &[Processed]| {
            let same = |one: &&Processed| {
                let record = &one.record;
                (&record.topic, record.partition, Some(record.offset))
                    == (&sent.topic, sent.partition, sent.offset)
            };
            let settled = all.iter().filter(same).find(|one| one.settles());
            settled.cloned()
        };
        let settled = timeout(Kit::PATIENCE, self.journal.until(this)).await.ok();
        assert!(
            settled.is_some(),
            "{sent:?} was not settled; what came:{}",
            self.list()
        );
        #[expect(clippy::unwrap_used, reason = "asserted right above, with what came")]
        settled.unwrap()
    }

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

    fn count(&self) -> usize {
        self.journal.all().len()
    }

    fn list(&self) -> String {
        let all = self.journal.all();
        all.iter().map(|one| format!("\n  {one}")).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
