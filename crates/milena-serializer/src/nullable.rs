//! `Option<T>` for missing keys and for tombstones.

use bytes::Bytes;
use milena_core::{Headers, Result, TopicName};

use crate::codec::{Deserializer, Place, Serializer};

/// Makes a codec for `Option<T>` from a codec of your own. `None` is Kafka's null in both
/// directions. The codecs of this crate support `Option<T>` without it.
///
/// ```
/// use bytes::Bytes;
/// use milena_core::{Headers, Result, TopicName};
/// use milena_serializer::{Nullable, Serializer};
///
/// struct Shout;
///
/// impl Serializer<String> for Shout {
///     fn serialize(
///         &self,
///         _: &TopicName,
///         _: &mut Headers,
///         text: &String,
///     ) -> Result<Option<Bytes>> {
///         Ok(Some(text.to_uppercase().into()))
///     }
/// }
///
/// # let (topic, mut headers) = ("t".into(), Headers::new());
/// let hello = Some("hello".to_owned());
/// assert_eq!(Nullable(Shout).serialize(&topic, &mut headers, &hello)?, Some("HELLO".into()));
/// assert_eq!(Nullable(Shout).serialize(&topic, &mut headers, &None::<String>)?, None);
/// # Ok::<_, milena_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nullable<C>(pub C);

impl<T, C: Serializer<T>> Serializer<Option<T>> for Nullable<C> {
    fn serialize(
        &self,
        topic: &TopicName,
        headers: &mut Headers,
        value: &Option<T>,
    ) -> Result<Option<Bytes>> {
        match value {
            Some(value) => self.0.serialize(topic, headers, value),
            None => Ok(None),
        }
    }
}

impl<T, C: Deserializer<T>> Deserializer<Option<T>> for Nullable<C> {
    fn deserialize(&self, place: Place<'_>, bytes: Option<&Bytes>) -> Result<Option<T>> {
        match bytes {
            Some(_) => self.0.deserialize(place, bytes).map(Some),
            None => Ok(None),
        }
    }
}

/// Implements `Option<T>` for a codec of this crate.
macro_rules! nullable {
    ($codec:ty: $($type:ty),* $(,)?) => {
        $(impl $crate::codec::Serializer<Option<$type>> for $codec {
            fn serialize(
                &self,
                topic: &::milena_core::TopicName,
                headers: &mut ::milena_core::Headers,
                value: &Option<$type>,
            ) -> ::milena_core::Result<Option<::bytes::Bytes>> {
                $crate::nullable::Nullable(*self).serialize(topic, headers, value)
            }
        }

        impl $crate::codec::Deserializer<Option<$type>> for $codec {
            fn deserialize(
                &self,
                place: $crate::codec::Place<'_>,
                bytes: Option<&::bytes::Bytes>,
            ) -> ::milena_core::Result<Option<$type>> {
                $crate::nullable::Nullable(*self).deserialize(place, bytes)
            }
        })*
    };
}
pub(crate) use nullable;
