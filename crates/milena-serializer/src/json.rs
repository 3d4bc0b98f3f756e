//! JSON, by `serde_json`.

use std::future::{Future, ready};

use bytes::Bytes;
use milena_core::{
    Error, ErrorKind, FromRecord, Headers, Incoming, ProcessError, ProducerRecord, Result,
    TopicName,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Deserializer, Place, Serializer, missing, value};

/// A record's value as JSON, decoded into `T`: an argument of a handler.
///
/// What cannot be decoded is [poison](milena_core::ErrorClass::Poison): no attempt is repeated. The error names topic, partition,
/// offset, and the path of the field that is wrong. A tombstone is `None` in `Json<Option<T>>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// JSON as a codec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonCodec;

impl<T: Serialize + ?Sized> Serializer<T> for JsonCodec {
    fn serialize(&self, topic: &TopicName, _: &mut Headers, value: &T) -> Result<Bytes> {
        encode(value).map_err(|error| error.topic(topic))
    }
}

impl<T: DeserializeOwned> Deserializer<T> for JsonCodec {
    fn deserialize(&self, _: Place<'_>, bytes: Option<&Bytes>) -> Result<T> {
        match bytes {
            Some(bytes) => decode(bytes),
            // An optional type reads a tombstone as `null`.
            None => decode(b"null").map_err(|_| missing("JSON")),
        }
    }
}

impl<T: DeserializeOwned + Send, S: Sync> FromRecord<S> for Json<T> {
    fn from_record(
        incoming: &Incoming,
        _: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
        ready(value(&JsonCodec, incoming).map(Json))
    }
}

/// JSON values for records to be sent.
pub trait JsonExt: Sized {
    /// Sets the value to `value` as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a value that JSON cannot hold, such as a map whose keys are no texts.
    fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self>;
}

impl JsonExt for ProducerRecord {
    fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        let bytes = JsonCodec.serialize(&self.topic, &mut self.record.headers, value)?;
        self.record.value = Some(bytes);
        Ok(self)
    }
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes> {
    let bytes = serde_json::to_vec(value).map_err(|cause| {
        let what = format!(
            "a value of type `{}` cannot be written as JSON",
            std::any::type_name::<T>()
        );
        Error::new(ErrorKind::Config, what).with_source(cause)
    })?;
    Ok(bytes.into())
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let wanted = short(std::any::type_name::<T>());
        let what = match path.as_str() {
            "." => format!("the value is no JSON of type `{wanted}`"),
            _ => format!("the value is no JSON of type `{wanted}`: wrong at `{path}`"),
        };
        Error::new(ErrorKind::Decode, what).with_source(error.into_inner())
    })?;
    reader.end().map_err(|cause| {
        Error::new(
            ErrorKind::Decode,
            "the value goes on after its JSON has ended",
        )
        .with_source(cause)
    })?;
    Ok(value)
}

/// The last part of a type's path.
fn short(name: &str) -> &str {
    let base = name.split('<').next().unwrap_or(name);
    base.rsplit("::").next().unwrap_or(name)
}
