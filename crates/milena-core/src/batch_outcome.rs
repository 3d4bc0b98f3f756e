//! What a handler of several records answers: a result for each.

use std::error::Error as StdError;
use std::fmt;

use crate::{IntoOutcome, Outcome, ProcessError};

/// What a handler of several records may return: one value for all (`()`, an [`Outcome`]), a `Vec` with one for each in their order, or a
/// [`Result`] of either with a [`BatchError`].
pub trait IntoBatchOutcome {
    /// The results of the first records of `count`, in their order, and the error of the one behind them, if there is one. Fewer results
    /// than records without an error leave the rest unanswered.
    fn into_batch_outcome(self, count: usize) -> BatchOutcome;
}

/// The answers to a batch, as far as they go.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchOutcome {
    /// One for each of the first records.
    pub results: Vec<Result<Outcome, ProcessError>>,
    /// What failed behind them.
    pub error: Option<BatchError>,
}

/// Why a handler of several records could not go on. Any error turns into one with `?`, and then fails all records of the batch.
pub struct BatchError {
    index: Option<usize>,
    error: ProcessError,
}

impl BatchError {
    /// All records of the batch failed with this.
    pub fn all(error: impl Into<ProcessError>) -> Self {
        Self {
            index: None,
            error: error.into(),
        }
    }

    /// The records before number `index`, counted from 0, are done, and that one failed; those behind it were not touched, and are
    /// processed again without it.
    pub fn failed_from(index: usize, error: impl Into<ProcessError>) -> Self {
        Self {
            index: Some(index),
            error: error.into(),
        }
    }

    /// The record that failed; `None` where all did.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        self.index
    }

    /// The error.
    #[must_use]
    pub fn error(&self) -> &ProcessError {
        &self.error
    }

    /// The error.
    #[must_use]
    pub fn into_error(self) -> ProcessError {
        self.error
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for BatchError {
    fn from(error: E) -> Self {
        Self::all(ProcessError::from(error))
    }
}

impl From<ProcessError> for BatchError {
    fn from(error: ProcessError) -> Self {
        Self::all(error)
    }
}

impl fmt::Debug for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchError")
            .field("index", &self.index)
            .field("error", &self.error)
            .finish()
    }
}

impl IntoBatchOutcome for () {
    fn into_batch_outcome(self, count: usize) -> BatchOutcome {
        Outcome::Ack.into_batch_outcome(count)
    }
}

impl IntoBatchOutcome for Outcome {
    fn into_batch_outcome(self, count: usize) -> BatchOutcome {
        BatchOutcome {
            results: (0..count).map(|_| Ok(self.clone())).collect(),
            error: None,
        }
    }
}

impl<T: IntoOutcome> IntoBatchOutcome for Vec<T> {
    fn into_batch_outcome(self, count: usize) -> BatchOutcome {
        let results = self.into_iter().take(count);
        BatchOutcome {
            results: results.map(IntoOutcome::into_outcome).collect(),
            error: None,
        }
    }
}

impl<T: IntoBatchOutcome, E: Into<BatchError>> IntoBatchOutcome for Result<T, E> {
    fn into_batch_outcome(self, count: usize) -> BatchOutcome {
        match self {
            Ok(answers) => answers.into_batch_outcome(count),
            Err(error) => {
                let error: BatchError = error.into();
                let done = error.index.unwrap_or(0).min(count);
                BatchOutcome {
                    results: (0..done).map(|_| Ok(Outcome::Ack)).collect(),
                    error: Some(error),
                }
            }
        }
    }
}
