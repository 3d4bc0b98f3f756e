//! Numbers and booleans in the binary formats of Java's serializers.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Headers, Result, TopicName};

use crate::codec::{Deserializer, Place, Serializer, missing, wrong_length};
use crate::nullable::nullable;

/// Numbers in big-endian form with fixed width.
///
/// It is the format of Java's `ShortSerializer`, `IntegerSerializer`, `LongSerializer`,
/// `FloatSerializer` and `DoubleSerializer` (`i16`, `i32`, `i64`, `f32`, `f64`). Other integer
/// types use the same form. Bytes of another length are an error. They are never truncated or
/// padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BigEndianCodec;

/// A boolean in one byte, 1 or 0, the format of Java's `BooleanSerializer`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoolCodec;

macro_rules! numbers {
    ($($type:ty),*) => {
        $(impl Serializer<$type> for BigEndianCodec {
            fn serialize(&self, _: &TopicName, _: &mut Headers, value: &$type) -> Result<Option<Bytes>> {
                Ok(Some(Bytes::copy_from_slice(&value.to_be_bytes())))
            }
        }

        impl Deserializer<$type> for BigEndianCodec {
            fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<$type> {
                let name = stringify!($type);
                let bytes = bytes.ok_or_else(|| missing(place.part, name))?;
                match <[u8; size_of::<$type>()]>::try_from(&bytes[..]) {
                    Ok(form) => Ok(<$type>::from_be_bytes(form)),
                    Err(_) => Err(wrong_length(place.part, name, size_of::<$type>(), bytes.len())),
                }
            }
        })*

        nullable!(BigEndianCodec: $($type),*);
    };
}
numbers!(i8, i16, i32, i64, i128, u8, u16, u32, u64, u128, f32, f64);

impl Serializer<bool> for BoolCodec {
    fn serialize(&self, _: &TopicName, _: &mut Headers, value: &bool) -> Result<Option<Bytes>> {
        Ok(Some(Bytes::from_static(if *value { &[1] } else { &[0] })))
    }
}

impl Deserializer<bool> for BoolCodec {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<bool> {
        let bytes = bytes.ok_or_else(|| missing(place.part, "bool"))?;
        match bytes[..] {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => {
                let what = format!(
                    "the {} is not a valid bool: its byte is {other}, but 0 or 1 is expected",
                    place.part
                );
                Err(Error::new(ErrorKind::Decode, what))
            }
            _ => Err(wrong_length(place.part, "bool", 1, bytes.len())),
        }
    }
}

nullable!(BoolCodec: bool);
