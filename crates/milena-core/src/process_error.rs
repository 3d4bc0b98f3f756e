//! What a handler or a layer fails with: any error, and the class that decides what happens next.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, ErrorCode, ErrorKind, Reason};

/// Any error, boxed.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What kind of failure it was: decides whether it is retried, counted against a dependency, or given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// May pass by itself: retried with a bound. The class of every error that nobody classified.
    Transient,
    /// A dependency asked for fewer requests: retried after the wait it named.
    Throttled,
    /// A dependency is down: retried, and counted by its circuit breaker.
    Dependency,
    /// The attempt took too long.
    Timeout,
    /// The handler panicked.
    Panic,
    /// The record cannot be decoded or is invalid: no attempt will ever succeed.
    Poison,
    /// Refused by a rule of the business: not retried.
    Business,
    /// The consumer cannot go on: it stops, and the record is not settled.
    Fatal,
}

impl ErrorClass {
    /// Whether another attempt in place makes sense.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(
            self,
            Self::Transient | Self::Throttled | Self::Dependency | Self::Timeout | Self::Panic
        )
    }

    /// Whether it speaks against the health of what the handler depends on, so that a circuit breaker counts it.
    #[must_use]
    pub const fn counts_against_dependency(self) -> bool {
        matches!(
            self,
            Self::Transient | Self::Throttled | Self::Dependency | Self::Timeout
        )
    }

    /// One word, for logs, labels and headers.
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

/// An error that knows its class. Implement it for your own errors and return them with [`Classified::classified`].
pub trait Classify {
    /// The class of this error.
    fn class(&self) -> ErrorClass;

    /// How long to wait before the next attempt, where the dependency said so.
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

impl Classify for Error {
    fn class(&self) -> ErrorClass {
        match self.kind() {
            ErrorKind::Broker(ErrorCode::THROTTLING_QUOTA_EXCEEDED) => ErrorClass::Throttled,
            ErrorKind::Timeout => ErrorClass::Timeout,
            // What a connection brought is no fault of the record.
            ErrorKind::Decode if self.place().api.is_some() || self.place().node.is_some() => {
                ErrorClass::Transient
            }
            ErrorKind::Decode | ErrorKind::RecordTooLarge => ErrorClass::Poison,
            ErrorKind::Transport => ErrorClass::Dependency,
            _ => ErrorClass::Transient,
        }
    }
}

/// What a handler or a layer fails with.
///
/// Any error turns into one with `?`; it is then [`ErrorClass::Transient`], save milena's own [`Error`], which has a class: throttled, timeout
/// or dependency as its kind says, poison where a record cannot be read or is too large, else transient. None of them is fatal: that a handler
/// may not write to one topic is no reason to end the consumer of all. Name
/// another class with [`poison`](Self::poison), [`business`](Self::business) and their like, or by [`Classify`].
///
/// It is not itself a [`std::error::Error`] (so that `?` can take every error), but turns into a [`BoxError`] and back without
/// loss, so that it passes through any tower layer.
pub struct ProcessError(Box<Inner>);

struct Inner {
    class: ErrorClass,
    retry_after: Option<Duration>,
    dependency: Option<Arc<str>>,
    /// Whether somebody chose the class.
    classified: bool,
    /// Whether it uses up an attempt of the record.
    counted: bool,
    source: BoxError,
}

impl ProcessError {
    /// An error of that class.
    pub fn new(class: ErrorClass, source: impl Into<BoxError>) -> Self {
        Self(Box::new(Inner {
            class,
            retry_after: None,
            dependency: None,
            classified: true,
            counted: true,
            source: source.into(),
        }))
    }

    /// May pass by itself.
    pub fn transient(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Transient, source)
    }

    /// The dependency of that name is down.
    pub fn dependency(name: impl Into<Arc<str>>, source: impl Into<BoxError>) -> Self {
        let mut error = Self::new(ErrorClass::Dependency, source);
        error.0.dependency = Some(name.into());
        error
    }

    /// A dependency asked to be called again only after that wait.
    pub fn throttled(after: Duration, source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Throttled, source).after(after)
    }

    /// The attempt took too long.
    pub fn timeout(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Timeout, source)
    }

    /// The record can never be processed.
    pub fn poison(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Poison, source)
    }

    /// Refused by a rule of the business.
    pub fn business(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Business, source)
    }

    /// The consumer has to stop.
    pub fn fatal(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorClass::Fatal, source)
    }

    /// An error that knows its class.
    pub fn classified<E: Classify + StdError + Send + Sync + 'static>(error: E) -> Self {
        let (class, retry_after) = (error.class(), error.retry_after());
        let mut made = Self::new(class, error);
        made.0.retry_after = retry_after;
        made
    }

    /// What a tower service failed with: a `ProcessError` that was boxed comes back as it was, milena's [`Error`] with its class,
    /// anything else as transient.
    #[must_use]
    pub fn from_boxed(boxed: BoxError) -> Self {
        match boxed.downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(other) => match other.downcast::<Error>() {
                Ok(error) => Self::classified(*error),
                Err(other) => Self::unknown(other),
            },
        }
    }

    /// An error that nobody classified.
    fn unknown(source: impl Into<BoxError>) -> Self {
        let mut error = Self::transient(source);
        error.0.classified = false;
        error
    }

    /// Says before the error what it means here; class, wait and dependency stay.
    #[must_use]
    pub fn context(mut self, what: &str) -> Self {
        self.0.source = format!("{what}: {}", self.chain()).into();
        self
    }

    /// Gives it another class.
    #[must_use]
    pub fn with_class(mut self, class: ErrorClass) -> Self {
        (self.0.class, self.0.classified) = (class, true);
        self
    }

    /// Whether somebody chose its class; else it is [`ErrorClass::Transient`] since nobody did.
    #[must_use]
    pub fn is_classified(&self) -> bool {
        self.0.classified
    }

    /// Names the wait before the next attempt.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Says that it uses up no attempt of the record, which waits for a dependency: said by a circuit breaker that is open by then.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        self.0.counted = false;
        self
    }

    /// Whether it uses up an attempt of the record; so it does unless a breaker is [open](Self::uncounted).
    #[must_use]
    pub fn is_counted(&self) -> bool {
        self.0.counted
    }

    /// What kind of failure it was.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// The wait before the next attempt, where one was named.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The dependency that failed, where one was named.
    #[must_use]
    pub fn dependency_name(&self) -> Option<&str> {
        self.0.dependency.as_deref()
    }

    /// The error itself.
    #[must_use]
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.0.source
    }

    /// The error and its causes on one line.
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
        Box::new(Carried(error))
    }
}

/// A [`ProcessError`] in the shape of a standard error, to cross tower layers.
struct Carried(ProcessError);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for Carried {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.0.source.source()
    }
}

/// Turns the error of a result into a [`ProcessError`] by its own class.
pub trait Classified<T> {
    /// The result, its error classified.
    ///
    /// # Errors
    /// The error that was there, with its class.
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
