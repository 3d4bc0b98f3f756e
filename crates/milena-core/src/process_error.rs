//! The error of a handler or a layer: any error, with the class that decides what happens next.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, ErrorCode, ErrorKind, Reason};

/// Any error, boxed.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The class of a failure. It decides if the record is retried, if a circuit breaker counts the
/// failure, and if the consumer stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// The failure may pass by itself. Retried a limited number of times. Errors without a class of
    /// their own get this one.
    Transient,
    /// A dependency asked for fewer requests. Retried after the wait that it named.
    Throttled,
    /// A dependency is down. Retried, and counted by its circuit breaker.
    Dependency,
    /// The attempt took too long.
    Timeout,
    /// The handler panicked.
    Panic,
    /// The record cannot be decoded or is invalid. No attempt can succeed, so it is not retried.
    Poison,
    /// A business rule refused the record. Not retried.
    Business,
    /// The consumer cannot continue. It stops, and the record is not settled.
    Fatal,
}

impl ErrorClass {
    /// Returns true if another attempt can succeed.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(
            self,
            Self::Transient | Self::Throttled | Self::Dependency | Self::Timeout | Self::Panic
        )
    }

    /// Returns true if the failure says that a dependency of the handler is unhealthy. A circuit
    /// breaker counts it then.
    #[must_use]
    pub const fn counts_against_dependency(self) -> bool {
        matches!(
            self,
            Self::Transient | Self::Throttled | Self::Dependency | Self::Timeout
        )
    }

    /// Returns the class as one word, for logs, labels and headers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Dependency => "dependency",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
            Self::Poison => "poison",
            Self::Business => "business",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An error that knows its class. Implement it for your own errors and return them with
/// [`Classified::classified`].
pub trait Classify {
    /// Returns the class of this error.
    fn class(&self) -> ErrorClass;

    /// Returns the wait before the next attempt. `None` if the dependency named none.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

impl Classify for Error {
    fn class(&self) -> ErrorClass {
        match self.kind() {
            ErrorKind::Broker(ErrorCode::THROTTLING_QUOTA_EXCEEDED) => ErrorClass::Throttled,
            ErrorKind::Timeout => ErrorClass::Timeout,
            // Bytes from a connection failed to decode. The record is not at fault.
            ErrorKind::Decode if self.place().api.is_some() || self.place().node.is_some() => {
                ErrorClass::Transient
            }
            ErrorKind::Decode | ErrorKind::RecordTooLarge => ErrorClass::Poison,
            ErrorKind::Transport => ErrorClass::Dependency,
            _ => ErrorClass::Transient,
        }
    }
}

/// The error of a handler or a layer.
///
/// `?` turns any error into one. Its class is then [`ErrorClass::Transient`]. Only milena's own
/// [`Error`] keeps a class of its own:
///
/// - throttled, timeout or dependency, as its kind says
/// - poison if a record cannot be decoded or is too large
/// - transient otherwise
///
/// None of them is fatal, because a failure to write to one topic is no reason to stop the consumer
/// of all topics. Choose another class with [`poison`](Self::poison), [`business`](Self::business)
/// and the other constructors, or implement [`Classify`].
///
/// This type is not a [`std::error::Error`] itself, so that `?` can take every error. It converts
/// to a [`BoxError`] and back without loss, and so passes through any tower layer.
pub struct ProcessError(Box<ProcessErrorParts>);

struct ProcessErrorParts {
    /// The class. [`ErrorClass::Transient`] if `classified` is false.
    class: ErrorClass,
    /// The wait that the dependency asked for. `None` if it named none.
    retry_after: Option<Duration>,
    /// The name of the dependency that failed. `None` if not known.
    dependency: Option<Arc<str>>,
    /// True if the class was chosen, false if it is only the default.
    classified: bool,
    /// True if the failure uses up an attempt of the record.
    counted: bool,
    /// The error that the handler or layer returned.
    source: BoxError,
}

impl ProcessError {
    /// Creates an error of this class.
    pub fn new(class: ErrorClass, source: impl Into<BoxError>) -> Self {
        Self(Box::new(ProcessErrorParts {
            class,
            retry_after: None,
            dependency: None,
            classified: true,
            counted: true,
            source: source.into(),
        }))
    }

    /// Creates an error that may pass by itself.
    pub fn transient(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Transient, source)
    }

    /// Creates the error for a dependency that is down.
    pub fn dependency(name: impl Into<Arc<str>>, source: impl Into<BoxError>) -> Self {
        let mut error = Self::new(ErrorClass::Dependency, source);
        error.0.dependency = Some(name.into());
        error
    }

    /// Creates the error for a dependency that asked to be called again only after the wait
    /// `after`.
    pub fn throttled(after: Duration, source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Throttled, source).after(after)
    }

    /// Creates the error for an attempt that took too long.
    pub fn timeout(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Timeout, source)
    }

    /// Creates the error for a record that can never be processed.
    pub fn poison(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Poison, source)
    }

    /// Creates the error for a record that a business rule refused.
    pub fn business(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Business, source)
    }

    /// Creates an error that stops the consumer.
    pub fn fatal(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Fatal, source)
    }

    /// Wraps an error that knows its class.
    pub fn classified<E: Classify + StdError + Send + Sync + 'static>(error: E) -> Self {
        let (class, retry_after) = (error.class(), error.retry_after());
        let mut made = Self::new(class, error);
        made.0.retry_after = retry_after;
        made
    }

    /// Wraps the error of a tower service. A boxed `ProcessError` is returned unchanged. milena's
    /// [`Error`] keeps its class, and any other error is transient.
    #[must_use]
    pub fn from_boxed(boxed: BoxError) -> Self {
        match boxed.downcast::<CarriedProcessError>() {
            Ok(carried) => carried.0,
            Err(other) => match other.downcast::<Error>() {
                Ok(error) => Self::classified(*error),
                Err(other) => Self::unknown(other),
            },
        }
    }

    /// Wraps an error that has no class.
    fn unknown(source: impl Into<BoxError>) -> Self {
        let mut error = Self::transient(source);
        error.0.classified = false;
        error
    }

    /// Puts `what` before the error text. Class, wait and dependency stay.
    #[must_use]
    pub fn context(mut self, what: &str) -> Self {
        self.0.source = format!("{what}: {}", self.chain()).into();
        self
    }

    /// Sets another class.
    #[must_use]
    pub fn with_class(mut self, class: ErrorClass) -> Self {
        (self.0.class, self.0.classified) = (class, true);
        self
    }

    /// Returns true if the class was chosen. False if it is [`ErrorClass::Transient`] by default.
    #[must_use]
    pub fn is_classified(&self) -> bool {
        self.0.classified
    }

    /// Sets the wait before the next attempt.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Marks the failure as one that uses up no attempt of the record. A circuit breaker does this
    /// while it is open, because the record then only waits for a dependency.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        self.0.counted = false;
        self
    }

    /// Returns true if the failure uses up an attempt of the record. False if an open circuit
    /// breaker [marked it](Self::uncounted).
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.0.counted
    }

    /// Returns the class of the failure.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// Returns the wait before the next attempt. `None` if no wait was named.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns the name of the dependency that failed. `None` if no name was given.
    #[must_use]
    pub fn dependency_name(&self) -> Option<&str> {
        self.0.dependency.as_deref()
    }

    /// Returns the wrapped error.
    #[must_use]
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0.source
    }

    /// Returns the error and its causes on one line.
    #[must_use]
    pub fn chain(&self) -> Reason {
        let mut text = self.0.source.to_string();
        let mut cause = self.0.source.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text.into()
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.class, self.0.source)
    }
}

impl fmt::Debug for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessError")
            .field("class", &self.0.class)
            .field("retry_after", &self.0.retry_after)
            .field("dependency", &self.0.dependency)
            .field("source", &self.0.source)
            .finish()
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for ProcessError {
    fn from(error: E) -> Self {
        match (&error as &dyn Any).downcast_ref::<Error>() {
            Some(own) => Self::classified(own.clone()),
            None => Self::unknown(error),
        }
    }
}

impl From<ProcessError> for BoxError {
    fn from(error: ProcessError) -> Self {
        Box::new(CarriedProcessError(error))
    }
}

/// A [`ProcessError`] that implements the standard error trait, to pass through tower layers.
struct CarriedProcessError(ProcessError);

impl fmt::Display for CarriedProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for CarriedProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for CarriedProcessError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.0.source.source()
    }
}

/// Turns the error of a result into a [`ProcessError`] with its own class.
pub trait Classified<T> {
    /// Returns the result with its error classified.
    ///
    /// # Errors
    /// The error of the result, with its class.
    fn classified(self) -> Result<T, ProcessError>;
}

impl<T, E: Classify + StdError + Send + Sync + 'static> Classified<T> for Result<T, E> {
    fn classified(self) -> Result<T, ProcessError> {
        self.map_err(ProcessError::classified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Busy;

    impl fmt::Display for Busy {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("busy")
        }
    }

    impl StdError for Busy {}

    impl Classify for Busy {
        fn class(&self) -> ErrorClass {
            ErrorClass::Throttled
        }

        fn retry_after(&self) -> Option<Duration> {
            Some(Duration::from_secs(3))
        }
    }

    #[test]
    fn an_error_that_nobody_classified_is_transient() {
        fn handler() -> Result<(), ProcessError> {
            Err(std::io::Error::other("reset"))?;
            Ok(())
        }
        assert_eq!(handler().unwrap_err().class(), ErrorClass::Transient);
    }

    #[test]
    fn milenas_own_errors_have_a_class_through_the_question_mark() {
        let error: ProcessError = Error::new(ErrorKind::Timeout, "late").into();
        assert_eq!(error.class(), ErrorClass::Timeout);
    }

    #[test]
    fn no_error_of_milenas_own_ends_the_consumer_by_the_question_mark() {
        use crate::ErrorCode as Code;
        let codes = [Code::TOPIC_AUTHORIZATION_FAILED, Code::PRODUCER_FENCED].map(Error::broker);
        let kinds = [ErrorKind::Closed, ErrorKind::Config, ErrorKind::Unsupported];
        let kinds = kinds.map(|kind| Error::new(kind, "no"));
        for error in codes.into_iter().chain(kinds) {
            let text = error.to_string();
            let class = ProcessError::from(error).class();
            assert_eq!(class, ErrorClass::Transient, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_poison_of_a_record_and_passes_of_a_connection() {
        let record = Error::new(ErrorKind::Decode, "no JSON").topic("orders");
        assert_eq!(ProcessError::from(record).class(), ErrorClass::Poison);
        let answer = Error::new(ErrorKind::Decode, "garbled").api("Produce");
        assert_eq!(ProcessError::from(answer).class(), ErrorClass::Transient);
    }

    #[test]
    fn a_context_keeps_class_wait_and_dependency() {
        let wait = Duration::from_secs(3);
        let error = ProcessError::dependency("store", "down").after(wait);
        let error = error.context("line 7");
        assert_eq!(
            (error.class(), error.retry_after()),
            (ErrorClass::Dependency, Some(wait))
        );
        assert_eq!(error.dependency_name(), Some("store"));
        assert_eq!(&*error.chain(), "line 7: down");
    }

    #[test]
    fn a_class_survives_being_boxed() {
        let error = Err::<(), _>(Busy).classified().unwrap_err();
        let back = ProcessError::from_boxed(BoxError::from(error));
        assert_eq!(back.class(), ErrorClass::Throttled);
        assert_eq!(back.retry_after(), Some(Duration::from_secs(3)));
        assert_eq!(back.source().to_string(), "busy");
    }

    #[test]
    fn a_dependency_is_named() {
        let error = ProcessError::dependency("payments", "refused");
        assert_eq!(error.dependency_name(), Some("payments"));
        assert_eq!(error.to_string(), "dependency: refused");
    }
}
