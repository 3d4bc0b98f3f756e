//! What a codec is: bytes from a value, and a value from bytes.

use std::fmt;

use bytes::Bytes;
use milena_core::{ConsumerRecord, Error, ErrorKind, Headers, Result, TopicName};

/// Makes the bytes of a key or a value.
///
/// ```
/// use bytes::Bytes;
/// use milena_core::{Error, ErrorKind, Headers, Result, TopicName};
/// use milena_serializer::{Deserializer, Place, Serializer};
///
/// /// An amount of money as text: `12.34`.
/// struct Cents;
///
/// impl Serializer<u64> for Cents {
///     fn serialize(&self, _: &TopicName, _: &mut Headers, cents: &u64) -> Result<Option<Bytes>> {
///         Ok(Some(format!("{}.{:02}", cents / 100, cents % 100).into()))
///     }
/// }
///
/// impl Deserializer<u64> for Cents {
///     fn deserialize(&self, _: Place<'_>, bytes: Option<&Bytes>) -> Result<u64> {
///         let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
///         let parts = text.and_then(|text| text.split_once('.'));
///         parts
///             .and_then(|(whole, rest)| format!("{whole}{rest}").parse().ok())
///             .ok_or_else(|| Error::new(ErrorKind::Decode, "no amount of money, such as 12.34"))
///     }
/// }
///
/// let topic = "payments".into();
/// let bytes = Cents.serialize(&topic, &mut Headers::new(), &1234)?;
/// assert_eq!(bytes.as_deref(), Some(&b"12.34"[..]));
/// assert_eq!(Cents.deserialize(Place::value(&topic, &Headers::new()), bytes.as_ref())?, 1234);
/// # Ok::<_, Error>(())
/// ```
pub trait Serializer<T: ?Sized> {
    /// The bytes of `value`, for a record of `topic`; may add to the record's headers. `None` is Kafka's null: a missing key, or the
    /// tombstone that deletes its key from a compacted topic.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or another kind for a value that cannot be written.
    fn serialize(
        &self,
        topic: &TopicName,
        headers: &mut Headers,
        value: &T,
    ) -> Result<Option<Bytes>>;
}

/// Makes a key or a value from its bytes. [`Serializer`] has an example.
pub trait Deserializer<T> {
    /// The value that `bytes` hold; `None` is a missing key or a tombstone.
    ///
    /// # Errors
    /// What is wrong with the bytes: [`ErrorKind::Decode`]. The place is added by the caller.
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<T>;
}

/// Where the bytes come from.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The record's headers.
    pub headers: &'a Headers,
    /// Which part of the record.
    pub part: Part,
}

/// A part of a record that has a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

impl<'a> Place<'a> {
    /// The value of a record.
    #[must_use]
    pub fn value(topic: &'a TopicName, headers: &'a Headers) -> Self {
        Self {
            topic,
            headers,
            part: Part::Value,
        }
    }

    /// The key of a record.
    #[must_use]
    pub fn key(topic: &'a TopicName, headers: &'a Headers) -> Self {
        Self {
            part: Part::Key,
            ..Self::value(topic, headers)
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "key",
            Self::Value => "value",
        })
    }
}

/// Decodes a part of a record; the error names the record's topic, partition and offset.
///
/// # Errors
/// [`ErrorKind::Decode`], or what the codec failed with.
pub(crate) fn decode<T>(
    codec: &(impl Deserializer<T> + ?Sized),
    record: &ConsumerRecord,
    part: Part,
) -> Result<T> {
    let (place, bytes) = match part {
        Part::Key => (Place::key(&record.topic, &record.headers), &record.key),
        Part::Value => (Place::value(&record.topic, &record.headers), &record.value),
    };
    codec
        .deserialize(place, bytes.as_ref())
        .map_err(|error| error.at(&record.topic_partition()).offset(record.offset))
}

/// The error for bytes that are missing.
pub(crate) fn missing(part: Part, wanted: &str) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!("the record has no {part}, where {wanted} is expected"),
    )
}

/// The error for a number of bytes that is not the form's.
pub(crate) fn wrong_length(part: Part, wanted: &str, length: usize, given: usize) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!("the {part} is no {wanted}: {given} bytes, where {length} are expected"),
    )
}

macro_rules! shared {
    ($($pointer:ty),*) => {
        $(impl<T: ?Sized, C: Serializer<T> + ?Sized> Serializer<T> for $pointer {
            fn serialize(&self, topic: &TopicName, headers: &mut Headers, value: &T) -> Result<Option<Bytes>> {
                (**self).serialize(topic, headers, value)
            }
        }

        impl<T, C: Deserializer<T> + ?Sized> Deserializer<T> for $pointer {
            fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<T> {
                (**self).deserialize(place, bytes)
            }
        })*
    };
}
shared!(&C, Box<C>, std::sync::Arc<C>);
