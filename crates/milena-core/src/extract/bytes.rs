//! Extractors that decode bytes: the key, the value or one header, as the type of the argument.

use std::fmt;
use std::future::{Future, ready};
use std::str::FromStr;

use ::bytes::Bytes;

use super::{FromRecord, lacks, unreadable};
use crate::{BoxError, Incoming, ProcessError};

/// Decodes a value from the bytes of a key, a value or a header.
///
/// Implemented for `Bytes` and `Vec<u8>` (the bytes themselves), `String` (UTF-8), `i32`, `u32`,
/// `i64` and `u64` (big-endian, as Kafka's own serializers write them), and [`Parsed`] (numbers and
/// other types that are written as text).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from bytes",
    note = "use `Bytes`, `String`, an integer, `Parsed<T>` for text that parses, `Json<T>`, or implement `FromBytes`"
)]
pub trait FromBytes: Sized {
    /// Decodes the bytes.
    ///
    /// # Errors
    /// The reason why the bytes cannot be decoded. The extractor adds the part and the record's
    /// place.
    fn from_bytes(bytes: &Bytes) -> Result<Self, BoxError>;
}

/// The record's key. The record is poison if the key is missing or cannot be decoded.
///
/// Ask for `Option<Key<T>>` if the key may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<T = Bytes>(pub T);

/// The record's value. The record is poison if it is a tombstone or the value cannot be decoded.
///
/// Ask for `Option<Value<T>>` if the record may be a tombstone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<T = Bytes>(pub T);

/// The record's value as UTF-8 text. The record is poison if it is a tombstone or is not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub String);

/// The last header with the name of `N`. The record is poison if the header is missing or null, or
/// cannot be decoded.
///
/// Ask for `Option<Header<N>>` if the header may be missing or null.
///
/// ```
/// use milena_core::{Header, HeaderName};
///
/// struct Tenant;
///
/// impl HeaderName for Tenant {
///     const NAME: &'static str = "tenant";
///     type Value = String;
/// }
///
/// async fn bill(Header(tenant): Header<Tenant>) {
///     println!("for {tenant}");
/// }
/// # fn check<A>(_: impl milena_core::Handler<A>) {}
/// # check(bill);
/// ```
pub struct Header<N: HeaderName>(pub N::Value);

/// The name of a header and the type of its value, for [`Header`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a header",
    note = "make a type for the header and implement `HeaderName` for it, with its name and the type of its value"
)]
pub trait HeaderName {
    /// The header's name.
    const NAME: &'static str;
    /// The type that the header's value is decoded as.
    type Value: FromBytes;
}

/// A value that is written as text. `Parsed<u32>` reads `"42"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parsed<T>(pub T);

macro_rules! extract {
    ($([$($generic:tt)*] $type:ty: |$incoming:ident| $read:expr;)*) => {
        $(impl<S: Sync, $($generic)*> FromRecord<S> for $type {
            fn from_record($incoming: &Incoming, _: &S) -> impl Future<Output = Result<Self, ProcessError>> + Send {
                ready($read)
            }
        })*
    };
}

extract! {
    [T: FromBytes + Send] Key<T>: |incoming| needed(incoming, "key", key(incoming)).map(Key);
    [T: FromBytes + Send] Option<Key<T>>: |incoming| read(incoming, "key", key(incoming)).map(|key| key.map(Key));
    [T: FromBytes + Send] Value<T>: |incoming| needed(incoming, "value", value(incoming)).map(Value);
    [T: FromBytes + Send] Option<Value<T>>: |incoming| read(incoming, "value", value(incoming)).map(|value| value.map(Value));
    [] Bytes: |incoming| needed(incoming, "value", value(incoming));
    [] Option<Bytes>: |incoming| Ok(value(incoming));
    [] Text: |incoming| needed(incoming, "value", value(incoming)).map(Text);
    [] Option<Text>: |incoming| read(incoming, "value", value(incoming)).map(|text| text.map(Text));
    [N: HeaderName<Value: Send>] Header<N>: |incoming| needed(incoming, &header_named(N::NAME), header(incoming, N::NAME)).map(Header);
    [N: HeaderName<Value: Send>] Option<Header<N>>: |incoming| {
        read(incoming, &header_named(N::NAME), header(incoming, N::NAME)).map(|value| value.map(Header))
    };
}

fn key(incoming: &Incoming) -> Option<Bytes> {
    incoming.record.key.clone()
}

fn value(incoming: &Incoming) -> Option<Bytes> {
    incoming.record.value.clone()
}

fn header(incoming: &Incoming, name: &str) -> Option<Bytes> {
    let value = incoming.record.headers.get(name)??;
    Some(Bytes::copy_from_slice(value))
}

fn header_named(name: &str) -> String {
    format!("header `{name}`")
}

/// Decodes a required part. A missing part is poison.
fn needed<T: FromBytes>(
    incoming: &Incoming,
    part: &str,
    bytes: Option<Bytes>,
) -> Result<T, ProcessError> {
    read(incoming, part, bytes)?.ok_or_else(|| lacks(incoming, part))
}

/// Decodes an optional part. A part that is there but cannot be decoded is poison.
fn read<T: FromBytes>(
    incoming: &Incoming,
    part: &str,
    bytes: Option<Bytes>,
) -> Result<Option<T>, ProcessError> {
    let read = bytes.map(|bytes| T::from_bytes(&bytes)).transpose();
    read.map_err(|cause| {
        let what = format!("the {part} cannot be decoded as the type that the handler asks for");
        ProcessError::poison(unreadable(incoming, what).with_source(cause))
    })
}

impl FromBytes for Bytes {
    fn from_bytes(bytes: &Bytes) -> Result<Self, BoxError> {
        Ok(bytes.clone())
    }
}

impl FromBytes for Vec<u8> {
    fn from_bytes(bytes: &Bytes) -> Result<Self, BoxError> {
        Ok(bytes.to_vec())
    }
}

impl FromBytes for String {
    fn from_bytes(bytes: &Bytes) -> Result<Self, BoxError> {
        Ok(text(bytes)?.to_owned())
    }
}

impl<T: FromStr<Err: Into<BoxError>>> FromBytes for Parsed<T> {
    fn from_bytes(bytes: &Bytes) -> Result<Self, BoxError> {
        text(bytes)?.parse().map(Self).map_err(Into::into)
    }
}

macro_rules! integers {
    ($($integer:ident)+) => {
        $(impl FromBytes for $integer {
            fn from_bytes(bytes: &Bytes) -> Result<Self, BoxError> {
                let (wanted, there) = (size_of::<Self>(), bytes.len());
                let octets = bytes[..].try_into().map_err(|_| {
                    format!("{} has {wanted} bytes, not {there}", stringify!($integer))
                })?;
                Ok(Self::from_be_bytes(octets))
            }
        })+
    };
}
integers! { i32 u32 i64 u64 }

fn text(bytes: &Bytes) -> Result<&str, BoxError> {
    std::str::from_utf8(bytes).map_err(|cause| format!("it is not UTF-8 text: {cause}").into())
}

impl<N: HeaderName<Value: fmt::Debug>> fmt::Debug for Header<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(N::NAME).field(&self.0).finish()
    }
}
