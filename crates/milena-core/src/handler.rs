//! Handlers: async functions whose arguments are extractors and whose result is an outcome.

use std::future::Future;

use crate::{BoxError, FromRecord, Incoming, Outcome, ProcessError};

/// A value that a handler may return.
///
/// It is an [`Outcome`], `()` for "done", or a [`Result`] of either with any error.
/// `anyhow::Error`, [`BoxError`] and `String` are errors, too.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "not an answer of a handler",
    note = "return `()`, an `Outcome`, or a `Result` of either whose error is a `ProcessError` or turns into a `BoxError`, as every standard error and `anyhow::Error` do"
)]
pub trait IntoOutcome {
    /// Returns the outcome, or the error with its class.
    ///
    /// # Errors
    /// The error that the handler returned.
    fn into_outcome(self) -> Result<Outcome, ProcessError>;
}

impl IntoOutcome for Outcome {
    fn into_outcome(self) -> Result<Outcome, ProcessError> {
        Ok(self)
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> Result<Outcome, ProcessError> {
        Ok(Outcome::Ack)
    }
}

impl<T: IntoOutcome, E: Into<BoxError>> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> Result<Outcome, ProcessError> {
        match self {
            Ok(answer) => answer.into_outcome(),
            // A boxed `ProcessError` is unboxed unchanged.
            Err(error) => Err(ProcessError::from_boxed(error.into())),
        }
    }
}

/// An async function of up to twelve extractors, with access to a state `S`.
///
/// ```
/// use milena_core::{Key, Outcome, ProcessError, Value};
///
/// async fn bill(Key(key): Key, Value(value): Value) -> Result<Outcome, ProcessError> {
///     if value.is_empty() {
///         return Ok(Outcome::skip("nothing to bill"));
///     }
///     Ok(Outcome::Ack)
/// }
/// # fn check<A, H: milena_core::Handler<A>>(_: H) {}
/// # check(bill);
/// ```
///
/// A closure may capture values. They are cloned for each record. An `async move |…|` closure with
/// captured values cannot be a handler, because its future borrows them and cannot outlive the
/// call. Write `move |…|` with a clone and an `async move` block.
///
/// ```
/// use std::sync::Arc;
/// use milena_core::Text;
///
/// let currency = Arc::new("EUR".to_owned());
/// let bill = move |Text(order): Text| {
///     let currency = Arc::clone(&currency);
///     async move { println!("billing {order} in {currency}") }
/// };
/// # fn check<A, H: milena_core::Handler<A>>(_: H) {}
/// # check(bill);
/// ```
///
/// # When a function is not a handler
///
/// The compiler says so without naming the argument. Ask for each argument alone, and for the
/// result. The error then names the type that is wrong.
///
/// ```
/// use milena_core::{FromRecord, IntoOutcome, ProcessError, Text};
///
/// fn argument<T: FromRecord<()>>() {} // with a state of the type `S`: `FromRecord<S>`
/// fn result<T: IntoOutcome>() {}
///
/// argument::<Text>();
/// result::<Result<(), ProcessError>>();
/// ```
///
/// An argument that is no extractor:
///
/// ```compile_fail,E0277
/// # fn argument<T: milena_core::FromRecord<()>>() {}
/// argument::<u32>();
/// ```
///
/// A result that is no outcome:
///
/// ```compile_fail,E0277
/// # fn result<T: milena_core::IntoOutcome>() {}
/// result::<u32>();
/// ```
///
/// A future that is not `Send`, because it holds an `Rc` while it waits:
///
/// ```compile_fail
/// # fn check<A, H: milena_core::Handler<A>>(_: H) {}
/// check(|| async {
///     let held = std::rc::Rc::new(1);
///     std::future::ready(()).await;
///     drop(held);
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler of records whose state is `{S}`",
    label = "not a handler",
    note = "a handler is an async function of up to twelve extractors that returns `()`, an `Outcome`, or a `Result` of either with any error",
    note = "each argument has to be an extractor (`FromRecord`): `Json<T>` needs `T: Deserialize`; `State<T>` needs a state of that type, given by `with_state` before the handler",
    note = "its future has to be `Send`: hold no `Rc`, `RefCell` borrow or `MutexGuard` across an `.await`; what a closure captures has to be `Clone + Send + Sync + 'static`"
)]
pub trait Handler<Args, S = ()>: Clone + Send + Sync + 'static {
    /// Extracts the arguments and runs the function.
    fn handle(
        &self,
        incoming: Incoming,
        state: &S,
    ) -> impl Future<Output = Result<Outcome, ProcessError>> + Send;
}

macro_rules! handlers {
    ($($arg:ident)*) => {
        impl<F, Fut, S, $($arg,)*> Handler<($($arg,)*), S> for F
        where
            F: Fn($($arg),*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future + Send,
            Fut::Output: IntoOutcome,
            S: Sync,
            $($arg: FromRecord<S> + Send,)*
        {
            #[allow(non_snake_case, unused_variables)]
            async fn handle(&self, incoming: Incoming, state: &S) -> Result<Outcome, ProcessError> {
                $(let $arg = $arg::from_record(&incoming, state).await?;)*
                let running = self($($arg),*);
                // The extractors have taken what they need. Drop the record, so that its memory is
                // not held while the handler runs.
                drop(incoming);
                running.await.into_outcome()
            }
        }
        handlers!(@shorter $($arg)*);
    };
    (@shorter) => {};
    (@shorter $first:ident $($rest:ident)*) => { handlers!($($rest)*); };
}
handlers!(A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Attempt, ConsumerRecord, ErrorClass, Headers, Key, Offset, State, Text, TimestampType,
        TopicName, Value,
    };

    fn incoming(key: Option<&'static str>, value: Option<&'static [u8]>) -> Incoming {
        Incoming::new(ConsumerRecord {
            topic: "orders".into(),
            partition: 0.into(),
            offset: 42.into(),
            leader_epoch: None,
            timestamp: None,
            timestamp_type: TimestampType::Create,
            key: key.map(Into::into),
            value: value.map(Into::into),
            headers: Headers::new(),
        })
    }

    async fn run<A, S, H: Handler<A, S>>(
        handler: H,
        incoming: Incoming,
        state: S,
    ) -> Result<Outcome, ProcessError> {
        handler.handle(incoming, &state).await
    }

    #[tokio::test]
    async fn a_function_gets_what_its_arguments_ask_for() {
        let handler = |State(factor): State<u32>,
                       Key(key): Key,
                       Text(text): Text,
                       offset: Offset,
                       topic: TopicName| async move {
            assert_eq!(
                (factor, &key[..], text.as_str(), offset.to_wire(), &*topic),
                (3, &b"k"[..], "v", 42, "orders")
            );
        };
        assert_eq!(
            run(handler, incoming(Some("k"), Some(b"v")), 3u32)
                .await
                .unwrap(),
            Outcome::Ack
        );
    }

    #[tokio::test]
    async fn a_missing_part_is_poison_and_names_the_record() {
        let handler = |_: Value| async {};
        let error = run(handler, incoming(None, None), ()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Poison);
        assert!(
            error.to_string().contains("no value") && error.to_string().contains("offset 42"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn text_that_is_not_utf8_is_poison() {
        let error = run(|_: Text| async {}, incoming(None, Some(&[0xff])), ())
            .await
            .unwrap_err();
        assert_eq!(error.class(), ErrorClass::Poison);
    }

    #[tokio::test]
    async fn a_boxed_error_and_a_text_can_be_returned_and_a_class_is_kept() {
        let boxed = || async { Err::<(), BoxError>("down".into()) };
        let error = run(boxed, incoming(None, None), ()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient);
        assert!(!error.is_classified());
        let text = || async { Err::<Outcome, _>("down") };
        assert!(run(text, incoming(None, None), ()).await.is_err());
        let own = || async { Err::<(), BoxError>(ProcessError::poison("no").into()) };
        let error = run(own, incoming(None, None), ()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Poison);
    }

    #[tokio::test]
    async fn any_error_can_be_returned() {
        async fn fails(_: Attempt) -> Result<(), std::io::Error> {
            Err(std::io::Error::other("down"))
        }
        let error = run(fails, incoming(None, None), ()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Transient);
    }
}
