//! The router. Finds the handler for each record.
//!
//! A router is a table of routes, not a service. The consumer finds a record's route first and then
//! waits for the layers of that route only. So a route with an open breaker delays no record of
//! another partition.
//!
//! The topic decides first. A topic by name comes before a pattern. A pattern with more literal
//! characters comes before one with fewer. Both come before a route for any topic. Among routes for
//! the same topic, those with more conditions come first, then the one that was added first. Two
//! routes that take the same records are refused. A record that no route takes goes to the
//! fallback. Without a fallback it is [poison](milena_core::ErrorClass::Poison). A dead letter
//! layer for all routes then writes it to its topic. Without that layer the record stops its lane,
//! and is never passed over.
//!
//! ```
//! use std::time::Duration;
//!
//! use milena_core::{Backoff, Outcome, Routes, State, Text, Topic};
//! use milena_middleware::{On, RecoveryLayer, RetryLayer, Router, Stack, TimeoutLayer};
//!
//! #[derive(Clone)]
//! struct Shop;
//!
//! async fn bill(State(_): State<Shop>, Text(order): Text) {
//!     println!("billing {order}");
//! }
//!
//! async fn refund(Text(order): Text) {
//!     println!("refunding {order}");
//! }
//!
//! async fn audit(Topic(topic): Topic) -> Outcome {
//!     Outcome::skip(format!("nothing to do for {topic}"))
//! }
//!
//! // The layers of one route.
//! let quick = Stack::new().layer(TimeoutLayer::new(Duration::from_secs(1)));
//! let router = Router::new()
//!     .with_state(Shop)
//!     .layer(RetryLayer::new(Backoff::default())) // layers for all routes, outside their own
//!     .route("orders", bill)
//!     .route(On::topic("orders").header("kind", "refund"), quick.handler(refund))
//!     .route("audit.*", audit)
//!     .fallback(async || Outcome::skip("not ours"));
//! router.check()?; // `consumer.run(router)` checks it too
//! println!("{}", router.explain());
//! # let _ = RecoveryLayer::new();
//! # Ok::<_, milena_core::Error>(())
//! ```

mod boxed;
mod into_route;
mod on;
mod table;

use std::fmt;
use std::sync::{Arc, OnceLock};

use milena_core::{
    BoxError, ConsumerRecord, Error, ErrorKind, Gate, Incoming, Outcome, Result, RouteInfo, Routes,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::stack::{Kind, Profile, StackLayer};

pub use boxed::BoxRoute;
pub use into_route::{AsHandler, AsService, AsStack, IntoRoute, Route};
pub use on::On;

use table::RouteTable;

/// A builder of routes, and the table that `consumer.run` takes. See the [module](self).
#[must_use = "a router does nothing before it is run"]
pub struct Router<T = ()> {
    /// The state for handlers that are added from now on.
    state: T,
    /// The routes with the records that they take, in order of addition.
    entries: Vec<(On, Route)>,
    /// The route for records that no other route takes. `None` makes such records poison.
    fallback: Option<Route>,
    /// The layers for all routes, outermost first.
    layers: Vec<SharedLayer>,
    /// The finished table. Built on first use, and reset by each change.
    table: OnceLock<RouteTable>,
}

/// A layer for all routes.
#[derive(Clone)]
struct SharedLayer {
    /// The description of the layer, for `explain` and the checks.
    profile: Profile,
    /// Puts the layer around a route.
    apply: Arc<dyn Fn(BoxRoute) -> BoxRoute + Send + Sync>,
}

impl Router {
    /// Creates a router without routes.
    pub fn new() -> Self {
        Self {
            state: (),
            entries: Vec::new(),
            fallback: None,
            layers: Vec::new(),
            table: OnceLock::new(),
        }
    }
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Router<T> {
    /// Adds a route that sends the records that `on` describes to a handler.
    ///
    /// The handler is an async function of extractors, a [`Stack`](crate::Stack) with its layers,
    /// or a tower service. A text for `on` is the name of a topic, or a pattern if it contains a
    /// `*`.
    pub fn route<M, R: IntoRoute<M, T>>(mut self, on: impl Into<On>, route: R) -> Self {
        let route = route.into_route(&self.state);
        let mut on = on.into();
        // A stack may be limited to some topics, and the route must not take others.
        if let Some(only) = &route.only {
            on = on.within(only);
        }
        self.entries.push((on, route));
        self.changed()
    }

    /// Sets the handler for records that no route takes.
    pub fn fallback<M, R: IntoRoute<M, T>>(mut self, route: R) -> Self {
        self.fallback = Some(route.into_route(&self.state));
        self.changed()
    }

    /// Adds a layer around all routes, including the fallback and routes that are added later.
    ///
    /// The layer goes inside the layers that were added before, and outside the routes' own layers.
    /// All routes share its state, such as a breaker.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<BoxRoute> + StackLayer + Send + Sync + 'static,
        L::Service: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
        <L::Service as Service<Incoming>>::Error: Into<BoxError>,
        <L::Service as Service<Incoming>>::Future: Send + 'static,
    {
        let profile = layer.profile();
        self.around(profile, layer)
    }

    /// Adds any tower layer around all routes, like [`layer`](Self::layer). Its purpose is not
    /// known here, so its place is not checked.
    pub fn tower_layer<L>(self, layer: L) -> Self
    where
        L: Layer<BoxRoute> + Send + Sync + 'static,
        L::Service: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
        <L::Service as Service<Incoming>>::Error: Into<BoxError>,
        <L::Service as Service<Incoming>>::Future: Send + 'static,
    {
        let profile = Profile::new(Kind::Other, crate::stack::short_name::<L>());
        self.around(profile, layer)
    }

    /// Stops all routes while `gate` is closed, for example by an operator. See
    /// [`Stack::gate`](crate::Stack::gate).
    pub fn gate(self, gate: Gate) -> Self {
        self.layer(crate::hold::HoldLayer::new(gate))
    }

    /// Sets the state for handlers that are added from now on.
    pub fn with_state<U: Clone + Send + Sync + 'static>(self, state: U) -> Router<U> {
        Router {
            state,
            entries: self.entries,
            fallback: self.fallback,
            layers: self.layers,
            table: OnceLock::new(),
        }
    }

    /// Adds the routes of another router with their states and layers. Takes its fallback if this
    /// router has none.
    pub fn merge<U>(self, other: Router<U>) -> Self {
        self.nest("", other)
    }

    /// Adds another router like [`merge`](Self::merge), with `prefix` before each topic and pattern
    /// of its routes.
    ///
    /// With a prefix, its routes for any topic and its fallback take topics of that prefix only.
    pub fn nest<U>(mut self, prefix: &str, other: Router<U>) -> Self {
        let within = |mut route: Route| {
            for layer in other.layers.iter().rev() {
                route = route.inside(layer);
            }
            route
        };
        for (on, route) in other.entries {
            self.entries.push((on.prefixed(prefix), within(route)));
        }
        match other.fallback.map(within) {
            Some(route) if !prefix.is_empty() => {
                self.entries.push((On::any().prefixed(prefix), route));
            }
            fallback => self.fallback = self.fallback.or(fallback),
        }
        self.changed()
    }

    /// Describes the routes and their layers as text.
    #[must_use]
    pub fn explain(&self) -> String {
        self.table().explain()
    }

    fn around<L>(mut self, profile: Profile, layer: L) -> Self
    where
        L: Layer<BoxRoute> + Send + Sync + 'static,
        L::Service: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
        <L::Service as Service<Incoming>>::Error: Into<BoxError>,
        <L::Service as Service<Incoming>>::Future: Send + 'static,
    {
        self.layers.push(SharedLayer {
            profile,
            apply: Arc::new(move |inner| BoxRoute::new(layer.layer(inner))),
        });
        self.changed()
    }

    fn changed(mut self) -> Self {
        self.table = OnceLock::new();
        self
    }

    fn table(&self) -> &RouteTable {
        self.table
            .get_or_init(|| RouteTable::new(&self.entries, self.fallback.as_ref(), &self.layers))
    }
}

impl<T: Send + Sync + 'static> Routes for Router<T> {
    type Service = BoxRoute;

    fn check(&self) -> Result<()> {
        match self.table().defect() {
            None => Ok(()),
            Some(defect) => Err(Error::new(ErrorKind::Config, defect)),
        }
    }

    fn routes(&self) -> &[RouteInfo] {
        self.table().info()
    }

    fn select(&self, record: &ConsumerRecord) -> usize {
        self.table().select(record)
    }

    fn service(&self, route: usize) -> BoxRoute {
        self.table().service(route)
    }
}

impl<T> fmt::Debug for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.entries.iter().map(|(on, _)| on);
        f.debug_list().entries(routes).finish()
    }
}
