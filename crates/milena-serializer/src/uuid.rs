//! UUIDs as text.

use ::uuid::Uuid;
use bytes::Bytes;
use milena_core::{Error, ErrorKind, Headers, Result, TopicName};

use crate::codec::{Deserializer, Place, Serializer, missing, wrong_length};
use crate::nullable::nullable;

/// UUIDs as 36 characters of text, in lower case with hyphens, the format of Java's
/// `UUIDSerializer`. Upper case is read, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UuidCodec;

impl Serializer<Uuid> for UuidCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &Uuid) -> Result<Option<Bytes>> {
        let mut text = [0; LENGTH];
        value.hyphenated().encode_lower(&mut text);
        Ok(Some(Bytes::copy_from_slice(&text)))
    }
}

impl Deserializer<Uuid> for UuidCodec {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<Uuid> {
        let bytes = bytes.ok_or_else(|| missing(place.part, "UUID"))?;
        // Text of other lengths is another form of UUID, which no Kafka client writes.
        if bytes.len() != LENGTH {
            return Err(wrong_length(place.part, "UUID", LENGTH, bytes.len()));
        }
        Uuid::try_parse_ascii(bytes).map_err(|cause| {
            let what = format!("the {} is not a UUID", place.part);
            Error::new(ErrorKind::Decode, what).with_source(cause)
        })
    }
}

nullable!(UuidCodec: Uuid);

const LENGTH: usize = 36;
