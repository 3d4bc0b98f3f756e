//! Bytes and text without conversion.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Headers, Result, TopicName};

use crate::codec::{Deserializer, Place, Serializer, missing};
use crate::nullable::nullable;

/// Bytes without conversion: `Bytes`, `[u8]`, `Vec<u8>`. The format of Java's
/// `ByteArraySerializer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BytesCodec;

/// UTF-8 text: `String`, `str`. The format of Java's `StringSerializer` with its default encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCodec;

impl Serializer<Bytes> for BytesCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &Bytes) -> Result<Option<Bytes>> {
        Ok(Some(value.clone()))
    }
}

impl Serializer<[u8]> for BytesCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &[u8]) -> Result<Option<Bytes>> {
        Ok(Some(Bytes::copy_from_slice(value)))
    }
}

impl Serializer<Vec<u8>> for BytesCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &Vec<u8>) -> Result<Option<Bytes>> {
        Ok(Some(Bytes::copy_from_slice(value)))
    }
}

impl Deserializer<Bytes> for BytesCodec {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<Bytes> {
        bytes.cloned().ok_or_else(|| missing(place.part, "bytes"))
    }
}

impl Deserializer<Vec<u8>> for BytesCodec {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<Vec<u8>> {
        let bytes = bytes.ok_or_else(|| missing(place.part, "bytes"))?;
        Ok(bytes.to_vec())
    }
}

impl Serializer<str> for TextCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &str) -> Result<Option<Bytes>> {
        Ok(Some(Bytes::copy_from_slice(value.as_bytes())))
    }
}

impl Serializer<String> for TextCodec {
    fn serialize(
        &self,
        topic: &TopicName,
        headers: &mut Headers,
        value: &String,
    ) -> Result<Option<Bytes>> {
        self.serialize(topic, headers, value.as_str())
    }
}

impl Deserializer<String> for TextCodec {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<String> {
        let bytes = bytes.ok_or_else(|| missing(place.part, "text"))?;
        let text = std::str::from_utf8(bytes).map_err(|cause| {
            let what = format!("the {} is not UTF-8 text", place.part);
            Error::new(ErrorKind::Decode, what).with_source(cause)
        })?;
        Ok(text.to_owned())
    }
}

nullable!(BytesCodec: Bytes, Vec<u8>);
nullable!(TextCodec: String);
