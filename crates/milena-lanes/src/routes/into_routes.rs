//! Handlers that `run` accepts. A handler is a stack or a router, a tower service, or an async
//! function.

use std::convert::Infallible;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{
    BoxError, ConsumerRecord, Handler, Incoming, Outcome, ProcessError, RouteInfo, Routes,
};
use parking_lot::Mutex;
use tower_service::Service;

/// A type that a run accepts as a handler.
///
/// `Marker` distinguishes the three kinds of handlers. The compiler infers it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot process records",
    note = "give a stack, a router, a cloneable tower service from `Incoming` to `Outcome`, or an async function of extractors"
)]
pub trait IntoRoutes<Marker> {
    /// The routes that this type turns into.
    type Routes: Routes;

    /// Turns this value into routes.
    fn into_routes(self) -> Self::Routes;
}

/// Marker for [`Routes`], such as a stack or a router.
#[derive(Debug)]
pub struct AsRoutes(Infallible);

/// Marker for a tower service.
#[derive(Debug)]
pub struct AsService(Infallible);

/// Marker for an async function of these extractors.
#[derive(Debug)]
pub struct AsHandler<Args>(Infallible, PhantomData<Args>);

impl<R: Routes> IntoRoutes<AsRoutes> for R {
    type Routes = R;

    fn into_routes(self) -> R {
        self
    }
}

impl<S> IntoRoutes<AsService> for S
where
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
{
    type Routes = OneRoute<S>;

    fn into_routes(self) -> OneRoute<S> {
        OneRoute::new(self)
    }
}

impl<H, Args> IntoRoutes<AsHandler<Args>> for H
where
    H: Handler<Args>,
    Args: 'static,
{
    type Routes = OneRoute<HandlerService<H, Args>>;

    fn into_routes(self) -> Self::Routes {
        OneRoute::new(HandlerService {
            handler: self,
            args: PhantomData,
        })
    }
}

/// A single route that takes every topic.
#[derive(Debug)]
pub struct OneRoute<S> {
    /// The one route, named `handler`.
    info: [RouteInfo; 1],
    // Behind a lock, since a service need not be `Sync`. Each lane takes the lock once, to clone
    // it.
    service: Mutex<S>,
}

impl<S> OneRoute<S> {
    fn new(service: S) -> Self {
        Self {
            info: [RouteInfo::new("handler")],
            service: Mutex::new(service),
        }
    }
}

impl<S: Clone + Send + 'static> Routes for OneRoute<S> {
    type Service = S;

    fn routes(&self) -> &[RouteInfo] {
        &self.info
    }

    fn select(&self, _: &ConsumerRecord) -> usize {
        0
    }

    fn service(&self, _: usize) -> S {
        self.service.lock().clone()
    }
}

/// A service that calls an async function. It is always ready.
#[derive(Debug)]
pub struct HandlerService<H, Args> {
    /// The function.
    handler: H,
    /// The extractors that the function takes.
    args: PhantomData<fn(Args)>,
}

impl<H: Clone, Args> Clone for HandlerService<H, Args> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            args: PhantomData,
        }
    }
}

impl<H: Handler<Args>, Args: 'static> Service<Incoming> for HandlerService<H, Args> {
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let handler = self.handler.clone();
        Box::pin(async move {
            let answer: Result<Outcome, ProcessError> = handler.handle(incoming, &()).await;
            answer.map_err(BoxError::from)
        })
    }
}
