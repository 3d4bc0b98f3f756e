//! What a codec is: bytes from a value, and a value from bytes.

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Headers, Incoming, ProcessError, Result, TopicName};

/// Makes the bytes of a key or a value.
///
/// ```
/// use bytes::Bytes;
/// use milena_core::{Headers, Result, TopicName};
/// use milena_serializer::Serializer;
///
/// /// Cents, as eight bytes, the highest first.
/// struct Cents;
///
/// impl Serializer<u64> for Cents {
///     fn serialize(&self, _: &TopicName, _: &mut Headers, cents: &u64) -> Result<Bytes> {
///         Ok(Bytes::copy_from_slice(&cents.to_be_bytes()))
///     }
/// }
/// # assert_eq!(Cents.serialize(&"t".into(), &mut Headers::new(), &1).unwrap().len(), 8);
/// ```
pub trait Serializer<T: ?Sized> {
    /// The bytes of `value`, for a record of `topic`; may add to the record's headers.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] or another kind for a value that cannot be written.
    fn serialize(&self, topic: &TopicName, headers: &mut Headers, value: &T) -> Result<Bytes>;
}

/// Makes a key or a value from its bytes.
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
}

impl<'a> Place<'a> {
    /// A place.
    #[must_use]
    pub fn new(topic: &'a TopicName, headers: &'a Headers) -> Self {
        Self { topic, headers }
    }
}

/// Decodes the value of a record; what cannot be decoded is poison, and the error names the record.
pub(crate) fn value<T>(
    codec: &impl Deserializer<T>,
    incoming: &Incoming,
) -> Result<T, ProcessError> {
    let record = &incoming.record;
    let place = Place::new(&record.topic, &record.headers);
    codec
        .deserialize(place, record.value.as_ref())
        .map_err(|error| {
            let place = record.topic_partition();
            ProcessError::poison(error.at(&place).offset(record.offset))
        })
}

/// The error for bytes that are missing.
pub(crate) fn missing(wanted: &str) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!("the record has no value, where {wanted} is expected"),
    )
}
