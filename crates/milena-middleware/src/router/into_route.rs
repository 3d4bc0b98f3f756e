//! The values that can be a route of a router, which are an async function, a stack and a tower
//! service.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use milena_core::{BoxError, Handler, Incoming, Outcome, TopicName};
use parking_lot::Mutex;
use tower_service::Service;

use super::SharedLayer;
use super::boxed::BoxRoute;
use crate::stack::{HandlerService, Profile, StackRoutes};

/// A value that [`Router::route`](super::Router::route) accepts.
///
/// `Marker` only separates the three kinds and is always inferred. `T` is the router's state.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a route of a router whose state is `{T}`",
    note = "give an async function of extractors, a stack with a handler, or a cloneable tower service from `Incoming` to `Outcome`",
    note = "a handler that asks for `State<…>` goes in after `with_state`"
)]
pub trait IntoRoute<Marker, T> {
    /// Makes the route. Handlers get a copy of `state`.
    fn into_route(self, state: &T) -> Route;
}

/// Marks an async function of these extractors.
#[derive(Debug)]
pub struct AsHandler<Args>(Infallible, PhantomData<Args>);

/// Marks a tower service.
#[derive(Debug)]
pub struct AsService(Infallible);

/// Marks a stack.
#[derive(Debug)]
pub struct AsStack(Infallible);

/// A handler with the layers of its route.
pub struct Route {
    /// The name of the route. `None` to use the description of its records.
    pub(super) name: Option<String>,
    /// The descriptions of the layers, outermost first.
    pub(super) profiles: Vec<Profile>,
    /// True if an unusual order of layers is only a warning.
    pub(super) lenient: bool,
    /// The only topics whose records the route takes. `None` for all that its description takes.
    pub(super) only: Option<Vec<TopicName>>,
    // The service that lanes clone. The lock makes it shareable, because it need not be `Sync`.
    // Taken once per lane.
    service: Mutex<BoxRoute>,
}

impl Route {
    pub(crate) fn new(
        service: BoxRoute,
        name: Option<String>,
        profiles: Vec<Profile>,
        lenient: bool,
    ) -> Self {
        Self {
            name,
            profiles,
            lenient,
            only: None,
            service: Mutex::new(service),
        }
    }

    pub(crate) fn only(mut self, topics: Option<Vec<TopicName>>) -> Self {
        self.only = topics;
        self
    }

    pub(super) fn service(&self) -> BoxRoute {
        self.service.lock().clone()
    }

    /// Puts one more layer around the route.
    pub(super) fn inside(self, layer: &SharedLayer) -> Self {
        let service = (layer.apply)(self.service.into_inner());
        let mut profiles = vec![layer.profile.clone()];
        profiles.extend(self.profiles);
        Self::new(service, self.name, profiles, self.lenient).only(self.only)
    }

    /// Copies the route. The copy shares the state that its layers share.
    pub(super) fn copy(&self) -> Self {
        Self::new(
            self.service(),
            self.name.clone(),
            self.profiles.clone(),
            self.lenient,
        )
        .only(self.only.clone())
    }
}

impl<H, Args, T> IntoRoute<AsHandler<Args>, T> for H
where
    H: Handler<Args, T>,
    Args: 'static,
    T: Clone + Send + Sync + 'static,
{
    fn into_route(self, state: &T) -> Route {
        let service = HandlerService::new(self, state.clone());
        Route::new(BoxRoute::new(service), None, Vec::new(), false)
    }
}

impl<S, T> IntoRoute<AsService, T> for S
where
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn into_route(self, _: &T) -> Route {
        Route::new(BoxRoute::new(self), None, Vec::new(), false)
    }
}

impl<S, T> IntoRoute<AsStack, T> for StackRoutes<S>
where
    S: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    fn into_route(self, _: &T) -> Route {
        self.into_single_route()
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("name", &self.name)
            .field("layers", &self.profiles)
            .finish_non_exhaustive()
    }
}
