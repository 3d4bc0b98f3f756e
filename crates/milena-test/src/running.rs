//! A consumer that runs in a task next to a test.

use milena_client::consumer::{RunReport, ShutdownHandle};
use milena_client::core::{Error, ErrorKind, RecordMetadata, Result};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::kit::Kit;
use crate::processed::{Journal, Processed};

/// A running consumer. Dropping it ends the consumer like a crash. Nothing more is committed, and
/// the consumer does not leave its group.
#[derive(Debug)]
pub struct Running {
    /// Shuts the consumer down in order.
    pub(crate) stop: ShutdownHandle,
    /// The task that runs the consumer. Aborted on drop.
    pub(crate) task: JoinHandle<Result<RunReport>>,
    /// The results of the layers.
    pub(crate) journal: Journal,
}

impl Running {
    /// Returns the results of the layers so far, in the order in which records ended. A record that
    /// the consumer itself retried is there once per retry too.
    #[must_use]
    pub fn processed(&self) -> Vec<Processed> {
        self.journal.all()
    }

    /// Waits until there are `count` results of the layers, and returns them.
    ///
    /// # Panics
    /// If that takes longer than [`Kit::PATIENCE`]. The panic shows the results so far.
    pub async fn until_processed(&self, count: usize) -> Vec<Processed> {
        let enough = |all: &[Processed]| (all.len() >= count).then(|| all.to_vec());
        let waited = timeout(Kit::PATIENCE, self.journal.until(enough)).await;
        assert!(
            waited.is_ok(),
            "{} of {count} results came:{}",
            self.count(),
            self.list()
        );
        waited.unwrap_or_default()
    }

    /// Waits until the sent record is settled, and returns its result.
    ///
    /// # Panics
    /// If that takes longer than [`Kit::PATIENCE`]. The panic shows the results so far.
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
            "{sent:?} was not settled; the results so far:{}",
            self.list()
        );
        #[expect(clippy::unwrap_used, reason = "asserted right above, with what came")]
        settled.unwrap()
    }

    /// Shuts the consumer down in order and returns its report.
    ///
    /// # Errors
    /// The error with which the consumer failed.
    pub async fn stop(self) -> Result<RunReport> {
        self.stop.shutdown();
        self.ended().await
    }

    /// Waits until the consumer ends by itself and returns its report.
    ///
    /// # Errors
    /// The error with which the consumer failed.
    pub async fn ended(mut self) -> Result<RunReport> {
        (&mut self.task).await.unwrap_or_else(|cause| {
            let what = "the consumer's task was aborted or panicked";
            Err(Error::new(ErrorKind::State, what).with_source(cause))
        })
    }

    /// Ends the consumer like a crash.
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
