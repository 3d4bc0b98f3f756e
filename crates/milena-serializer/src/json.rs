//! JSON, with `serde_json`.

use std::cell::Cell;
use std::future::{Future, ready};

use bytes::Bytes;
use milena_core::{
    Error, ErrorKind, FromRecord, Headers, Incoming, ProcessError, ProducerRecord, Result,
    TopicName,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{Deserializer, Part, Place, Serializer, decode};
use crate::format::{null, undecodable, unwritable};

/// A record's value as JSON, decoded into `T`. An argument of a handler.
///
/// A value that cannot be decoded is [poison](milena_core::ErrorClass::Poison) and is not retried.
/// The error names topic, partition and offset, and the path of the wrong field. A tombstone is
/// `None` in `Json<Option<T>>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// JSON as a codec, for every type that serde supports.
///
/// JSON's `null` and Kafka's null are the same. An `Option::None` is sent as a tombstone, and a
/// tombstone is read as `None`. Values may be nested 127 levels deep. Deeper ones are refused,
/// because they could exhaust the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonCodec;

impl<T: Serialize + ?Sized> Serializer<T> for JsonCodec {
    fn serialize(&self, topic: &TopicName, _: &mut Headers, value: &T) -> Result<Option<Bytes>> {
        // Take the buffer instead of borrowing it, because the value may use this codec for a part
        // of itself.
        let mut buffer = BUFFER.take();
        buffer.clear();
        let written = serde_json::to_writer(&mut buffer, value);
        let bytes = (buffer != NULL).then(|| Bytes::copy_from_slice(&buffer));
        if buffer.capacity() <= KEPT {
            BUFFER.set(buffer);
        }
        written.map_err(|cause| unwritable::<T>("JSON", cause).topic(topic))?;
        Ok(bytes)
    }
}

impl<T: DeserializeOwned> Deserializer<T> for JsonCodec {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<T> {
        let Some(bytes) = bytes else {
            return null(place.part, "JSON");
        };
        // Tracking the path takes time, so decode again with the path only after an error.
        serde_json::from_slice(bytes).map_err(|_| {
            if let Some(what) = foreign(bytes) {
                let part = place.part;
                return Error::new(ErrorKind::Decode, format!("the {part} is not JSON: {what}"));
            }
            let mut reader = serde_json::Deserializer::from_slice(bytes);
            undecodable::<T, _>(place.part, "JSON", &mut reader)
        })
    }
}

/// Describes the first bytes of a value that other software reads as JSON. `None` for other bytes.
fn foreign(bytes: &[u8]) -> Option<String> {
    match *bytes {
        [0xef, 0xbb, 0xbf, ..] => {
            Some("it begins with a byte order mark, which its writer must leave out".to_owned())
        }
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => {
            Some("it begins with the byte order mark of UTF-16".to_owned())
        }
        [0, a, b, c, d, ..] => {
            let schema = u32::from_be_bytes([a, b, c, d]);
            Some(format!(
                "it begins with the five bytes of a schema registry (schema {schema}); use a codec that knows the registry, \
                 or one of your own that skips these bytes"
            ))
        }
        _ => None,
    }
}

impl<T: DeserializeOwned + Send, S: Sync> FromRecord<S> for Json<T> {
    fn from_record(
        incoming: &Incoming,
        _: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
        ready(
            decode(&JsonCodec, &incoming.record, Part::Value)
                .map(Json)
                .map_err(ProcessError::poison),
        )
    }
}

/// Adds JSON values to records to send.
pub trait JsonExt: Sized {
    /// Sets the value to `value` as JSON. `null` becomes a tombstone.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a value that JSON cannot
    /// represent, such as a map whose keys are not text.
    fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self>;
}

impl JsonExt for ProducerRecord {
    fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        self.record.value = JsonCodec.serialize(&self.topic, &mut self.record.headers, value)?;
        Ok(self)
    }
}

thread_local! {
    /// The buffer for serialized values. With it, each value costs only one allocation of its exact
    /// size.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The largest buffer that is kept, in bytes.
const KEPT: usize = 64 << 10;

/// A value that is sent as Kafka's null.
const NULL: &[u8] = b"null";
