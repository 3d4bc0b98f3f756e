//! JSON, by `serde_json`.

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

/// A record's value as JSON, decoded into `T`: an argument of a handler.
///
/// What cannot be decoded is [poison](milena_core::ErrorClass::Poison): no attempt is repeated. The error names topic, partition,
/// offset, and the path of the field that is wrong. A tombstone is `None` in `Json<Option<T>>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// JSON as a codec, for every type that serde knows.
///
/// JSON's `null` and Kafka's null are one: an `Option::None` is sent as a tombstone, and a tombstone is read as `None`. Values may be
/// nested 127 levels deep; deeper ones are refused before they could exhaust the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JsonCodec;

impl<T: Serialize + ?Sized> Serializer<T> for JsonCodec {
    fn serialize(&self, topic: &TopicName, _: &mut Headers, value: &T) -> Result<Option<Bytes>> {
        // Taken out, not borrowed: a value may use this codec for a part of itself.
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
        // The path costs time to follow: it is looked for only where something is wrong.
        serde_json::from_slice(bytes).map_err(|_| {
            if let Some(what) = foreign(bytes) {
                let part = place.part;
                return Error::new(ErrorKind::Decode, format!("the {part} is no JSON: {what}"));
            }
            let mut reader = serde_json::Deserializer::from_slice(bytes);
            undecodable::<T, _>(place.part, "JSON", &mut reader)
        })
    }
}

/// What begins a value that is JSON for others, in words.
fn foreign(bytes: &[u8]) -> Option<String> {
    match *bytes {
        [0xef, 0xbb, 0xbf, ..] => {
            Some("it begins with a byte order mark, which its writer has to leave out".to_owned())
        }
        [0xfe, 0xff, ..] | [0xff, 0xfe, ..] => Some("it begins with the mark of UTF-16".to_owned()),
        [0, a, b, c, d, ..] => {
            let schema = u32::from_be_bytes([a, b, c, d]);
            Some(format!(
                "it begins with the five bytes of a schema registry (schema {schema}); read it by a codec that knows the registry, \
                 or leave them out by one of your own"
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

/// JSON values for records to be sent.
pub trait JsonExt: Sized {
    /// Sets the value to `value` as JSON; `null` is a tombstone.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](milena_core::ErrorKind::Config) for a value that JSON cannot hold, such as a map whose keys are no texts.
    fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self>;
}

impl JsonExt for ProducerRecord {
    fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Result<Self> {
        self.record.value = JsonCodec.serialize(&self.topic, &mut self.record.headers, value)?;
        Ok(self)
    }
}

thread_local! {
    /// Where values are written, so that each costs one allocation, of its own size.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The largest buffer that is kept, in bytes.
const KEPT: usize = 64 << 10;

const NULL: &[u8] = b"null";
