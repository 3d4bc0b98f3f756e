//! A table that assigns classes to errors of other crates.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::{Classify, ErrorClass, ProcessError};

/// Assigns a class to errors that have none, by their type. A clone holds the same rules.
///
/// The table checks the error first and then its causes. The first one that it knows decides. An
/// error that was classified where it arose keeps its class. An error that no table knows stays
/// [`ErrorClass::Transient`]. It is retried a limited number of times and then becomes a dead
/// letter.
///
/// ```
/// use std::num::ParseIntError;
///
/// use milena_core::{ErrorClass, ErrorMap, ProcessError};
///
/// let map = ErrorMap::new().class::<ParseIntError>(ErrorClass::Poison);
/// let error: ProcessError = "seven".parse::<u8>().unwrap_err().into();
/// assert_eq!(error.class(), ErrorClass::Transient);
/// assert_eq!(map.apply(error).class(), ErrorClass::Poison);
/// ```
#[derive(Clone, Default)]
pub struct ErrorMap(Vec<Rule>);

type Rule = Arc<dyn Fn(&(dyn StdError + 'static)) -> Option<ErrorClass> + Send + Sync>;

impl ErrorMap {
    /// Creates an empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a table of the errors of the standard library.
    ///
    /// - [`ErrorClass::Dependency`]: a connection was refused, reset or broken
    /// - [`ErrorClass::Timeout`]: an input or output timed out
    /// - [`ErrorClass::Poison`]: text is not UTF-8 or not a number, or data is invalid
    #[must_use]
    pub fn standard() -> Self {
        Self::new()
            .with(|error: &io::Error| of_io(error.kind()))
            .class::<std::str::Utf8Error>(ErrorClass::Poison)
            .class::<std::string::FromUtf8Error>(ErrorClass::Poison)
            .class::<std::num::ParseIntError>(ErrorClass::Poison)
            .class::<std::num::ParseFloatError>(ErrorClass::Poison)
    }

    /// Assigns `class` to errors of the type `E`.
    #[must_use]
    pub fn class<E: StdError + 'static>(self, class: ErrorClass) -> Self {
        self.with(move |_: &E| Some(class))
    }

    /// Assigns to errors of the type `E` the class that `choose` returns. `None` leaves the
    /// decision to the error's causes.
    #[must_use]
    pub fn with<E: StdError + 'static>(
        mut self,
        choose: impl Fn(&E) -> Option<ErrorClass> + Send + Sync + 'static,
    ) -> Self {
        self.0.push(Arc::new(move |error| {
            error.downcast_ref::<E>().and_then(&choose)
        }));
        self
    }

    /// Lets errors of the type `E` classify themselves, also if they are the cause of another
    /// error.
    #[must_use]
    pub fn classify<E: Classify + StdError + 'static>(self) -> Self {
        self.with(|error: &E| Some(error.class()))
    }

    /// Returns the class of an error. `None` if the table knows neither the error nor any of its
    /// causes.
    #[must_use]
    pub fn find(&self, error: &(dyn StdError + 'static)) -> Option<ErrorClass> {
        let mut each = Some(error);
        while let Some(error) = each {
            // Check the newest rules first, so that a caller can override the rules of a standard
            // table.
            if let Some(class) = self.0.iter().rev().find_map(|rule| rule(error)) {
                return Some(class);
            }
            each = error.source();
        }
        None
    }

    /// Returns the error. An error without a class of its own gets its class from the table.
    #[must_use]
    pub fn apply(&self, error: ProcessError) -> ProcessError {
        if error.is_classified() {
            return error;
        }
        match self.find(error.source()) {
            Some(class) => error.with_class(class),
            None => error,
        }
    }
}

fn of_io(kind: io::ErrorKind) -> Option<ErrorClass> {
    use io::ErrorKind as Kind;
    match kind {
        Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::NotConnected
        | Kind::BrokenPipe
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable => Some(ErrorClass::Dependency),
        Kind::TimedOut => Some(ErrorClass::Timeout),
        Kind::InvalidData => Some(ErrorClass::Poison),
        _ => None,
    }
}

impl fmt::Debug for ErrorMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorMap")
            .field("rules", &self.0.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the call failed")
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn a_cause_that_is_known_decides() {
        let error = Outer(io::ErrorKind::ConnectionRefused.into());
        let error = ErrorMap::standard().apply(error.into());
        assert_eq!(error.class(), ErrorClass::Dependency);
    }

    #[test]
    fn a_class_that_was_given_stays_and_what_nobody_knows_stays_transient() {
        let given = ProcessError::business(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(
            ErrorMap::standard().apply(given).class(),
            ErrorClass::Business
        );
        let unknown: ProcessError = io::Error::other("strange").into();
        assert_eq!(
            ErrorMap::standard().apply(unknown).class(),
            ErrorClass::Transient
        );
    }

    #[test]
    fn what_was_added_last_goes_first() {
        let map = ErrorMap::standard().with(|error: &io::Error| {
            (error.kind() == io::ErrorKind::TimedOut).then_some(ErrorClass::Throttled)
        });
        let class = |kind: io::ErrorKind| map.apply(io::Error::from(kind).into()).class();
        assert_eq!(class(io::ErrorKind::TimedOut), ErrorClass::Throttled);
        assert_eq!(class(io::ErrorKind::BrokenPipe), ErrorClass::Dependency);
    }
}
