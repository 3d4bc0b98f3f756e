//! The results of records, as the layers of their routes return them, and the journal of the
//! results.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use milena_client::core::{ConsumerRecord, ErrorClass, Outcome, ProcessError};
use tokio::sync::watch;

/// The result that the layers of a route returned for a record, which is an outcome or an error.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Processed {
    /// The record.
    pub record: ConsumerRecord,
    /// The route that the record took.
    pub route: Arc<str>,
    /// The outcome, or the error of the layers.
    pub result: Result<Outcome, Failed>,
    /// The time from the call of the route to its result, including waits between attempts. The
    /// wait until the route was ready is not included.
    pub took: Duration,
}

/// An error of a handler or a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failed {
    /// The class of the error.
    pub class: ErrorClass,
    /// The error and its causes on one line.
    pub text: String,
}

impl Processed {
    /// Returns true if the record's offset may be committed.
    #[must_use]
    pub fn settles(&self) -> bool {
        self.result.as_ref().is_ok_and(Outcome::settles)
    }

    /// Returns the outcome.
    ///
    /// # Panics
    /// If the layers returned an error. The panic shows the error.
    #[track_caller]
    pub fn outcome(&self) -> &Outcome {
        assert!(self.result.is_ok(), "{self}");
        self.result.as_ref().unwrap_or(&Outcome::Ack)
    }

    /// Returns the class of the error, or `None` if there is an outcome.
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

/// The results of all processed records, in the order in which they ended. A clone is the same
/// journal.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    /// The results so far.
    entries: Arc<Mutex<Vec<Processed>>>,
    /// The number of results, which wakes waiting tests.
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

    /// Waits until `find` returns a value for the entries.
    pub(crate) async fn until<T>(&self, mut find: impl FnMut(&[Processed]) -> Option<T>) -> T {
        let mut count = self.count.subscribe();
        loop {
            if let Some(found) = find(&self.all()) {
                return found;
            }
            // The sender lives as long as this journal, so the wait cannot fail.
            let _ = count.changed().await;
        }
    }
}
