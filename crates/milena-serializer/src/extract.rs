//! Handler arguments that decode keys and values with any codec.

use std::future::{Future, ready};
use std::marker::PhantomData;

use milena_core::{FromRecord, Incoming, ProcessError, Result};

use crate::codec::{Deserializer, Part, decode};

/// A record's key, decoded with the codec `C`.
///
/// ```
/// use milena_serializer::{BigEndianCodec, KeyAs, TextCodec, ValueAs};
///
/// async fn count(
///     KeyAs(customer, _): KeyAs<i64, BigEndianCodec>,
///     ValueAs(name, _): ValueAs<Option<String>, TextCodec>,
/// ) {
///     match name {
///         Some(name) => println!("{customer} is {name}"),
///         None => println!("{customer} is gone"),
///     }
/// }
/// # fn check<A>(_: impl milena_core::Handler<A>) {}
/// # check(count);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAs<T, C>(pub T, pub PhantomData<C>);

/// A record's value, decoded with the codec `C`. [`KeyAs`] has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueAs<T, C>(pub T, pub PhantomData<C>);

macro_rules! extract {
    ($($type:ident: $part:expr;)*) => {
        $(impl<T: Send, C: Deserializer<T> + Default + Send, S: Sync> FromRecord<S> for $type<T, C> {
            fn from_record(
                incoming: &Incoming,
                _: &S,
            ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
                let decoded = decode(&C::default(), &incoming.record, $part);
                ready(decoded.map(|value| Self(value, PhantomData)).map_err(ProcessError::poison))
            }
        })*
    };
}
extract! {
    KeyAs: Part::Key;
    ValueAs: Part::Value;
}
