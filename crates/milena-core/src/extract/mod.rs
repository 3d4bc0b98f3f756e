//! Extractors make the arguments of a handler. The type of an argument selects its extractor.

mod bytes;
mod parts;
mod state;

use std::future::Future;

use crate::{Error, ErrorKind, Incoming, ProcessError};

pub use bytes::{FromBytes, Header, HeaderName, Key, Parsed, Text, Value};
pub use parts::{Attempt, Stopping, Topic};
pub use state::{Extension, FromRef, State};

/// Makes a handler's argument from a record, and from the state `S` that the handler was given.
///
/// A failure is a [`ProcessError`]. Return [`ProcessError::poison`] if no retry can help. To handle
/// a failure in the handler, ask for `Result<T, ProcessError>`. To take several values as one
/// argument, ask for a tuple.
///
/// ```
/// use std::future::{Future, ready};
///
/// use milena_core::{FromRecord, Incoming, ProcessError};
///
/// /// True if the record is a tombstone.
/// struct Deleted(bool);
///
/// impl<S: Sync> FromRecord<S> for Deleted {
///     fn from_record(
///         incoming: &Incoming,
///         _: &S,
///     ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
///         ready(Ok(Self(incoming.record.value.is_none())))
///     }
/// }
/// # fn check<A>(_: impl milena_core::Handler<A>) {}
/// # check(async |_: Deleted| ());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler whose state is `{S}`",
    label = "not an extractor",
    note = "implement `FromRecord`, or use an extractor such as `Json<T>`, `ConsumerRecord`, `Key<T>`, `Header<T>`, `Offset` or `State<T>`",
    note = "`State<T>` needs a state of that type: give it by `with_state`, or implement `FromRef` for a part of it"
)]
pub trait FromRecord<S = ()>: Sized {
    /// Makes the argument.
    ///
    /// # Errors
    /// The reason why the record does not hold the argument.
    fn from_record(
        incoming: &Incoming,
        state: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send;
}

/// Passes the argument or its failure to the handler, which decides.
impl<T: FromRecord<S> + Send, S: Sync> FromRecord<S> for Result<T, ProcessError> {
    async fn from_record(incoming: &Incoming, state: &S) -> Result<Self, ProcessError> {
        Ok(T::from_record(incoming, state).await)
    }
}

macro_rules! tuples {
    ($(($($part:ident)+))+) => {
        $(impl<S: Sync, $($part: FromRecord<S> + Send),+> FromRecord<S> for ($($part,)+) {
            async fn from_record(incoming: &Incoming, state: &S) -> Result<Self, ProcessError> {
                Ok(($($part::from_record(incoming, state).await?,)+))
            }
        })+
    };
}
tuples! { (A) (A B) (A B C) (A B C D) }

/// Creates the error for a record that cannot be decoded. `what` names the part.
fn unreadable(incoming: &Incoming, what: String) -> Error {
    let record = &incoming.record;
    Error::new(ErrorKind::Decode, what)
        .topic(&record.topic)
        .partition(record.partition)
        .offset(record.offset)
}

/// Creates the poison error for a part that is missing.
fn lacks(incoming: &Incoming, part: &str) -> ProcessError {
    let what = format!("the record has no {part}, which the handler asks for");
    ProcessError::poison(unreadable(incoming, what))
}
