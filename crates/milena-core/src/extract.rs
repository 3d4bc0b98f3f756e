//! Extractors: what a handler asks for by the types of its arguments.

use std::future::{Future, ready};
use std::sync::Arc;

use bytes::Bytes;

use crate::{
    CancelToken, ConsumerRecord, Error, ErrorKind, Extensions, Headers, Incoming, Offset,
    Partition, ProcessError, TopicName, TopicPartition,
};

/// Makes a handler's argument from a record (and from the state `S` that the handler was given).
///
/// A failure is a [`ProcessError`]; one that no retry can mend is [`ProcessError::poison`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a handler",
    note = "implement `FromRecord`, or use an extractor such as `Json<T>`, `ConsumerRecord`, `Key` or `State<T>`"
)]
pub trait FromRecord<S = ()>: Sized {
    /// Makes the argument.
    ///
    /// # Errors
    /// Where the record does not hold what is asked for.
    fn from_record(
        incoming: &Incoming,
        state: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send;
}

/// The record's key; the handler fails as poison where there is none. Ask for `Option<Key>` where it may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(pub Bytes);

/// The record's value; the handler fails as poison where it is a tombstone. Ask for `Option<Value>` where it may be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(pub Bytes);

/// The record's value as UTF-8 text; poison where it is not, or is a tombstone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

/// Which attempt this is, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt(pub u32);

/// The handler's state, cloned.
#[derive(Clone, Debug)]
pub struct State<T>(pub T);

/// A value that a layer put among the record's extensions; fatal where none did, since the stack lacks that layer.
#[derive(Clone, Debug)]
pub struct Extension<T>(pub Arc<T>);

macro_rules! extract {
    ($($type:ty: |$incoming:ident| $make:expr;)*) => {
        $(impl<S: Sync> FromRecord<S> for $type {
            fn from_record($incoming: &Incoming, _: &S) -> impl Future<Output = Result<Self, ProcessError>> + Send {
                ready($make)
            }
        })*
    };
}

extract! {
    Incoming: |incoming| Ok(incoming.clone());
    ConsumerRecord: |incoming| Ok(incoming.record.clone());
    Headers: |incoming| Ok(incoming.record.headers.clone());
    TopicName: |incoming| Ok(incoming.record.topic.clone());
    TopicPartition: |incoming| Ok(incoming.record.topic_partition());
    Partition: |incoming| Ok(incoming.record.partition);
    Offset: |incoming| Ok(incoming.record.offset);
    Attempt: |incoming| Ok(Attempt(incoming.attempt));
    CancelToken: |incoming| Ok(incoming.cancel.clone());
    Extensions: |incoming| Ok(incoming.extensions.clone());
    Key: |incoming| incoming.record.key.clone().map(Key).ok_or_else(|| lacks(incoming, "key"));
    Value: |incoming| incoming.record.value.clone().map(Value).ok_or_else(|| lacks(incoming, "value"));
    Option<Key>: |incoming| Ok(incoming.record.key.clone().map(Key));
    Option<Value>: |incoming| Ok(incoming.record.value.clone().map(Value));
    Text: |incoming| text(incoming);
}

impl<T: Clone + Send + Sync> FromRecord<T> for State<T> {
    fn from_record(
        _: &Incoming,
        state: &T,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
        ready(Ok(Self(state.clone())))
    }
}

impl<T: Send + Sync + 'static, S: Sync> FromRecord<S> for Extension<T> {
    fn from_record(
        incoming: &Incoming,
        _: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
        ready(incoming.extensions.shared().map(Self).ok_or_else(|| {
            let name = std::any::type_name::<T>();
            ProcessError::fatal(format!(
                "no layer put a `{name}` among the extensions; add that layer to the stack"
            ))
        }))
    }
}

fn lacks(incoming: &Incoming, part: &str) -> ProcessError {
    let record = &incoming.record;
    ProcessError::poison(
        Error::new(
            ErrorKind::Decode,
            format!("the record has no {part}, which the handler asks for"),
        )
        .topic(&record.topic)
        .partition(record.partition)
        .offset(record.offset),
    )
}

fn text(incoming: &Incoming) -> Result<Text, ProcessError> {
    let record = &incoming.record;
    let value = record
        .value
        .as_deref()
        .ok_or_else(|| lacks(incoming, "value"))?;
    match std::str::from_utf8(value) {
        Ok(text) => Ok(Text(text.to_owned())),
        Err(cause) => Err(ProcessError::poison(
            Error::new(ErrorKind::Decode, "the value is not UTF-8 text")
                .topic(&record.topic)
                .partition(record.partition)
                .offset(record.offset)
                .with_source(cause),
        )),
    }
}
