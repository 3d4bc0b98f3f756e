//! What became of a record, as the layers let it through, and the journal of it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use milena_client::core::{ConsumerRecord, ErrorClass, Outcome, ProcessError};
use tokio::sync::watch;

/// What the layers of a route let through for a record: an outcome, or what failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Processed {
    /// The record.
    pub record: ConsumerRecord,
    /// The route it took.
    pub route: Arc<str>,
    /// The outcome, or what the layers failed with.
    pub result: Result<Outcome, Failed>,
    /// How long it took, waits between attempts included; the wait until the route was ready is not.
    pub took: Duration,
}

/// What a handler or a layer failed with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// What kind of failure it was.
    pub class: ErrorClass,
    /// The error and its causes on one line.
    pub text: String,
}

impl Processed {
    /// Whether the record's offset may be committed.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.result.as_ref().is_ok_and(Outcome::settles)
    }

    /// The outcome.
    ///
    /// # Panics
    /// Where the layers failed, with what they failed with.
    #[track_caller]
    pub fn outcome(&self) -> &Outcome {
        assert!(self.result.is_ok(), "{self}");
        self.result.as_ref().unwrap_or(&Outcome::Ack)
    }

    /// The class of what failed; `None` where nothing did.
    #[must_use]
    pub fn class(&self) -> Option<ErrorClass> {
        self.result.as_ref().err().map(|failed| failed.class)
    }
}

impl fmt::Display for Processed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = &self.record;
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        write!(
            f,
            "{topic}/{partition} offset {offset}, route {}: ",
            self.route
        )?;
        match &self.result {
            Ok(outcome) => write!(f, "{outcome:?}")?,
            Err(failed) => write!(f, "{}: {}", failed.class, failed.text)?,
        }
        write!(f, " after {:?}", self.took)
    }
}

impl From<&ProcessError> for Failed {
    fn from(error: &ProcessError) -> Self {
        Self {
            class: error.class(),
            text: error.chain().into_owned(),
        }
    }
}

/// All that was processed, in the order in which it ended. A clone is the same journal.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    entries: Arc<Mutex<Vec<Processed>>>,
    count: watch::Sender<usize>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self {
            entries: Arc::default(),
            count: watch::Sender::new(0),
        }
    }

    pub(crate) fn add(&self, processed: Processed) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(processed);
        self.count.send_replace(entries.len());
    }

    pub(crate) fn all(&self) -> Vec<Processed> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clone()
    }

    /// Waits until `find` finds something in it.
    pub(crate) async fn until<T>(&self, mut find: impl FnMut(&[Processed]) -> Option<T>) -> T {
        let mut count = self.count.subscribe();
        loop {
            if let Some(found) = find(&self.all()) {
                return found;
            }
            // The sender lives as long as this journal.
            let _ = count.changed().await;
        }
    }
}
