//! A route's service behind one type, because the routes of a table have different ones.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use milena_core::{BoxError, Incoming, Outcome};
use tower_service::Service;

/// The service of a route of a [`Router`](super::Router).
pub struct BoxRoute(Box<dyn AnyRoute>);

type RouteFuture = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

trait AnyRoute: Send {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>>;
    fn call(&mut self, incoming: Incoming) -> RouteFuture;
    fn copy(&self) -> Box<dyn AnyRoute>;
}

struct Known<S>(S);

impl<S> AnyRoute for Known<S>
where
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, incoming: Incoming) -> RouteFuture {
        let running = self.0.call(incoming);
        Box::pin(async move { running.await.map_err(Into::into) })
    }

    fn copy(&self) -> Box<dyn AnyRoute> {
        Box::new(Self(self.0.clone()))
    }
}

impl BoxRoute {
    /// Boxes `service`.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        Self(Box::new(Known(service)))
    }
}

impl Service<Incoming> for BoxRoute {
    type Response = Outcome;
    type Error = BoxError;
    type Future = RouteFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, incoming: Incoming) -> RouteFuture {
        self.0.call(incoming)
    }
}

impl Clone for BoxRoute {
    fn clone(&self) -> Self {
        Self(self.0.copy())
    }
}

impl fmt::Debug for BoxRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxRoute").finish_non_exhaustive()
    }
}
