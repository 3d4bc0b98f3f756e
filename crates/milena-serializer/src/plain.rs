//! Bytes and text as they are.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Headers, Result, TopicName};

use crate::codec::{Deserializer, Place, Serializer, missing};

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BytesCodec;

/// UTF-8 text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCodec;

impl Serializer<Bytes> for BytesCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &Bytes) -> Result<Bytes> {
        Ok(value.clone())
    }
}

impl Serializer<[u8]> for BytesCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &[u8]) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(value))
    }
}

impl Deserializer<Bytes> for BytesCodec {
    fn deserialize(&self, _: Place<'_>, bytes: Option<&Bytes>) -> Result<Bytes> {
        bytes.cloned().ok_or_else(|| missing("a value"))
    }
}

impl Deserializer<Option<Bytes>> for BytesCodec {
    fn deserialize(&self, _: Place<'_>, bytes: Option<&Bytes>) -> Result<Option<Bytes>> {
        Ok(bytes.cloned())
    }
}

impl Serializer<str> for TextCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &str) -> Result<Bytes> {
        Ok(Bytes::copy_from_slice(value.as_bytes()))
    }
}

impl Serializer<String> for TextCodec {
    fn serialize(&self, topic: &TopicName, headers: &mut Headers, value: &String) -> Result<Bytes> {
        self.serialize(topic, headers, value.as_str())
    }
}

impl Deserializer<String> for TextCodec {
    fn deserialize(&self, _: Place<'_>, bytes: Option<&Bytes>) -> Result<String> {
        let bytes = bytes.ok_or_else(|| missing("text"))?;
        let text = std::str::from_utf8(bytes).map_err(|cause| {
            Error::new(ErrorKind::Decode, "the value is not UTF-8 text").with_source(cause)
        })?;
        Ok(text.to_owned())
    }
}
