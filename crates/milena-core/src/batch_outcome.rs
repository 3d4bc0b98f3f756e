//! The return value of a handler of several records: one result for each record.

use std::error::Error as StdError;
use std::fmt;

use crate::{BoxError, IntoOutcome, Outcome, ProcessError};

/// A value that a handler of several records may return.
///
/// It is one value for all records (`()` or an [`Outcome`]), a `Vec` with one answer for each
/// record in their order, or a [`Result`] of either with a [`BatchError`].
#[diagnostic::on_unimplemented(
    message = "a batch handler cannot return `{Self}`",
    note = "return `()`, an `Outcome`, a `Vec` with one answer for each record, or a `Result` of one of these with a `BatchError` or any error"
)]
pub trait IntoBatchOutcome {
    /// Returns the results of the first records, in their order, and the error of the record after
    /// them if there is one.
    ///
    /// `count` is the number of records in the batch. Without an error, records without a result
    /// count as unanswered.
    fn into_batch_outcome(self, count: usize) -> BatchOutcome;
}

/// The answers to a batch, up to the first record that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchOutcome {
    /// Results of the first records, one for each.
    pub results: Vec<Result<Outcome, ProcessError>>,
    /// The error of the record after those in `results`, or of all records. `None` if none failed.
    pub error: Option<BatchError>,
}

/// The reason why a handler of several records could not continue.
///
/// `?` turns any error into one that fails all records of the batch.
pub struct BatchError {
    /// The record that failed, counted from 0. The records before it are done. `None` if all
    /// failed.
    index: Option<usize>,
    /// The error of that record, or of all records.
    error: ProcessError,
}

impl BatchError {
    /// Fails all records of the batch.
    pub fn all(error: impl Into<ProcessError>) -> Self {
        Self {
            index: None,
            error: error.into(),
        }
    }

    /// Fails the record at `index`, counted from 0, after all records before it succeeded.
    ///
    /// The records after it were not touched. They are processed again without it.
    ///
    /// An `index` outside the batch says nothing about any record. It becomes an error for all
    /// records, and the error text names both numbers.
    pub fn failed_from(index: usize, error: impl Into<ProcessError>) -> Self {
        Self {
            index: Some(index),
            error: error.into(),
        }
    }

    /// Returns the index of the record that failed. `None` if all failed.
    #[must_use]
    pub fn index(&self) -> Option<usize> {
        self.index
    }

    /// Returns the error.
    #[must_use]
    pub fn error(&self) -> &ProcessError {
        &self.error
    }

    /// Returns the error, consuming `self`.
    #[must_use]
    pub fn into_error(self) -> ProcessError {
        self.error
    }

    /// Turns an index outside a batch of `count` records into an error for all of them.
    fn within(self, count: usize) -> Self {
        match self.index {
            Some(index) if index >= count => {
                let what = format!(
                    "the handler says that record {index} (counted from 0) failed, in a batch of {count}"
                );
                Self::all(self.error.context(&what))
            }
            _ => self,
        }
    }

    /// Turns the error of a batch handler into a `BatchError`. A boxed `BatchError` is returned
    /// unchanged. Any other error fails all records.
    #[must_use]
    pub fn from_boxed(boxed: BoxError) -> Self {
        match boxed.downcast::<CarriedBatchError>() {
            Ok(carried) => carried.0,
            Err(other) => Self::all(ProcessError::from_boxed(other)),
        }
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

impl From<BatchError> for BoxError {
    fn from(error: BatchError) -> Self {
        Box::new(CarriedBatchError(error))
    }
}

/// A [`BatchError`] that implements the standard error trait, so that a handler can return it with
/// `?`.
struct CarriedBatchError(BatchError);

impl fmt::Display for CarriedBatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.error, f)
    }
}

impl fmt::Debug for CarriedBatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for CarriedBatchError {}

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
        let given = self.len();
        if given > count {
            // With too many answers, it is unknown which answer belongs to which record. None is
            // used.
            let what =
                format!("the handler returned {given} answers for a batch of {count} records");
            return BatchOutcome {
                results: Vec::new(),
                error: Some(BatchError::all(ProcessError::transient(what))),
            };
        }
        BatchOutcome {
            results: self.into_iter().map(IntoOutcome::into_outcome).collect(),
            error: None,
        }
    }
}

impl<T: IntoBatchOutcome, E: Into<BoxError>> IntoBatchOutcome for Result<T, E> {
    fn into_batch_outcome(self, count: usize) -> BatchOutcome {
        match self {
            Ok(answers) => answers.into_batch_outcome(count),
            Err(error) => {
                let error = BatchError::from_boxed(error.into()).within(count);
                let done = error.index.unwrap_or(0);
                BatchOutcome {
                    results: (0..done).map(|_| Ok(Outcome::Ack)).collect(),
                    error: Some(error),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;

    #[test]
    fn an_index_that_the_batch_does_not_have_is_an_error_for_all_that_names_both_numbers() {
        for index in [3, 4, usize::MAX] {
            let error = ProcessError::dependency("store", "the last row is refused");
            let told = Err::<(), _>(BatchError::failed_from(index, error)).into_batch_outcome(3);
            let error = told.error.unwrap();
            assert!(told.results.is_empty(), "nothing is known to be done");
            assert_eq!(
                (error.index(), error.error().class()),
                (None, ErrorClass::Dependency)
            );
            let text = error.error().to_string();
            let named = [format!("record {index}"), "a batch of 3".to_owned()];
            assert!(named.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn more_answers_than_records_are_an_error_for_all() {
        let told = vec![Outcome::Ack; 4].into_batch_outcome(3);
        assert!(told.results.is_empty() && told.error.is_some());
    }

    #[test]
    fn a_batch_error_keeps_its_index_and_any_error_fails_all() {
        let at = Err::<(), _>(BatchError::failed_from(1, ProcessError::poison("no")));
        assert_eq!(at.into_batch_outcome(3).results.len(), 1);
        let boxed: BoxError = "no disk".into();
        let told = Err::<(), _>(boxed).into_batch_outcome(3);
        assert_eq!(told.error.unwrap().index(), None);
    }
}
