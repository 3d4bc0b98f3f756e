//! An async function of extractors as a tower service.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use milena_core::{BoxError, Handler, Incoming, Outcome};
use tower_service::Service;

/// A handler with its state. It is always ready.
pub struct HandlerService<H, Args, T = ()> {
    handler: H,
    state: Arc<T>,
    args: PhantomData<fn(Args)>,
}

impl<H, Args, T> HandlerService<H, Args, T> {
    /// Creates a service from a handler and its state.
    pub fn new(handler: H, state: T) -> Self {
        Self {
            handler,
            state: Arc::new(state),
            args: PhantomData,
        }
    }
}

impl<H, Args, T> Service<Incoming> for HandlerService<H, Args, T>
where
    H: Handler<Args, T>,
    T: Send + Sync + 'static,
    Args: 'static,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let (handler, state) = (self.handler.clone(), CallState::of(&self.state));
        Box::pin(async move {
            let answer = handler.handle(incoming, state.get()).await;
            answer.map_err(Into::into)
        })
    }
}

/// The state of a handler as one call of it holds it.
enum CallState<T: 'static> {
    /// The state `()`, which needs no reference count. Most handlers have no other.
    Unit(&'static T),
    /// Any other state.
    Shared(Arc<T>),
}

impl<T: 'static> CallState<T> {
    fn of(state: &Arc<T>) -> Self {
        let unit: &'static dyn Any = &();
        match unit.downcast_ref() {
            Some(unit) => Self::Unit(unit),
            None => Self::Shared(Arc::clone(state)),
        }
    }

    fn get(&self) -> &T {
        match self {
            Self::Unit(state) => state,
            Self::Shared(state) => state,
        }
    }
}

impl<H: Clone, Args, T> Clone for HandlerService<H, Args, T> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            state: Arc::clone(&self.state),
            args: PhantomData,
        }
    }
}

impl<H, Args, T> fmt::Debug for HandlerService<H, Args, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerService")
            .field("handler", &std::any::type_name::<H>())
            .finish_non_exhaustive()
    }
}
