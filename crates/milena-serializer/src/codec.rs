//! Codecs: traits that turn a value into bytes and bytes into a value.

use std::fmt;

use bytes::Bytes;
use milena_core::{ConsumerRecord, Error, ErrorKind, Headers, Result, TopicName};

/// Serializes a key or a value.
///
/// ```
/// use bytes::Bytes;
/// use milena_core::{Error, ErrorKind, Headers, Result, TopicName};
/// use milena_serializer::{Deserializer, Place, Serializer};
///
/// /// Writes an amount of money as text, such as `12.34`.
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
    /// Returns the bytes of `value` for a record of `topic`. It may add headers to the record.
    ///
    /// `None` is Kafka's null. It means a missing key, or a tombstone that deletes its key from a
    /// compacted topic.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or another kind for a value that cannot be serialized.
    fn serialize(
        &self,
        topic: &TopicName,
        headers: &mut Headers,
        value: &T,
    ) -> Result<Option<Bytes>>;
}

/// Deserializes a key or a value. [`Serializer`] has an example.
pub trait Deserializer<T> {
    /// Returns the value in `bytes`. `None` is a missing key or a tombstone.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`] with the reason why the bytes cannot be deserialized. The caller adds
    /// the record's place.
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<T>;
}

/// The place of the bytes to deserialize.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The record's headers.
    pub headers: &'a Headers,
    /// The part of the record.
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
    /// Returns the place of a record's value.
    #[must_use]
    pub fn value(topic: &'a TopicName, headers: &'a Headers) -> Self {
        Self {
            topic,
            headers,
            part: Part::Value,
        }
    }

    /// Returns the place of a record's key.
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

/// Decodes a part of a record. The error names the record's topic, partition and offset.
///
/// # Errors
/// [`ErrorKind::Decode`], or the error of the codec.
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

/// Creates the error for a missing key or value.
pub(crate) fn missing(part: Part, wanted: &str) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!("the record has no {part}, but {wanted} is expected"),
    )
}

/// Creates the error for bytes of the wrong length.
pub(crate) fn wrong_length(part: Part, wanted: &str, length: usize, given: usize) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!(
            "the {part} is not a valid {wanted}: it has {given} bytes, but {length} are expected"
        ),
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
