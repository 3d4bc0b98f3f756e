//! Extractors of the handler's state, and of values that layers passed inwards.

use std::future::{Future, ready};
use std::sync::Arc;

use super::FromRecord;
use crate::{Incoming, ProcessError};

/// A clone of the handler's state, or of a part of it (see [`FromRef`]).
#[derive(Clone, Debug)]
pub struct State<T>(pub T);

/// A value that a layer put into the record's extensions.
///
/// A missing value is a fatal error, because it means that the stack lacks that layer. Ask for
/// `Option<Extension<T>>` if the value may be missing.
#[derive(Clone, Debug)]
pub struct Extension<T>(pub Arc<T>);

/// Makes a part of a state, so that a handler can ask for that part alone with [`State`].
///
/// ```
/// use milena_core::{FromRef, State};
///
/// #[derive(Clone)]
/// struct Prices(&'static str);
///
/// #[derive(Clone)]
/// struct Shop {
///     prices: Prices,
/// }
///
/// impl FromRef<Shop> for Prices {
///     fn from_ref(shop: &Shop) -> Self {
///         shop.prices.clone()
///     }
/// }
///
/// async fn bill(State(prices): State<Prices>) {
///     println!("prices of {}", prices.0);
/// }
/// # fn check<A>(_: impl milena_core::Handler<A, Shop>) {}
/// # check(bill);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a part of the state `{S}`",
    note = "give the handler a state of that type by `with_state`, or implement `FromRef<{S}>` for `{Self}`"
)]
pub trait FromRef<S> {
    /// Makes the part.
    fn from_ref(state: &S) -> Self;
}

impl<S: Clone> FromRef<S> for S {
    fn from_ref(state: &S) -> Self {
        state.clone()
    }
}

impl<T: FromRef<S> + Send, S: Sync> FromRecord<S> for State<T> {
    fn from_record(
        _: &Incoming,
        state: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
        ready(Ok(Self(T::from_ref(state))))
    }
}

impl<T: Send + Sync + 'static, S: Sync> FromRecord<S> for Option<Extension<T>> {
    fn from_record(
        incoming: &Incoming,
        _: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
        ready(Ok(incoming.extensions.shared().map(Extension)))
    }
}

impl<T: Send + Sync + 'static, S: Sync> FromRecord<S> for Extension<T> {
    fn from_record(
        incoming: &Incoming,
        _: &S,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send {
        ready(incoming.extensions.shared().map(Self).ok_or_else(|| {
            let name = std::any::type_name::<T>();
            ProcessError::fatal(format!(
                "no layer put a `{name}` among the extensions; add that layer to the stack"
            ))
        }))
    }
}
