//! The router: which records go to which handler.
//!
//! A router is a table of routes and no service: the consumer finds a record's route first and then waits for that route's layers alone, so
//! that a route whose breaker is open holds back no record of another partition.
//!
//! A route is chosen by its topic first: a topic by name goes before a pattern, a pattern with more characters of its own before one with
//! fewer, any of them before a route for any topic. Among routes for the same topic those with more conditions go first, then the one that
//! was added first. Two routes that nothing tells apart are refused. A record that no route takes goes to the fallback; where there is
//! none it is [poison](milena_core::ErrorClass::Poison), which a dead letter layer for all routes writes down, and which else stops its
//! lane: it is never passed over.
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
//! let quick = Stack::new().layer(TimeoutLayer::new(Duration::from_secs(1))); // layers of one route
//! let router = Router::new()
//!     .with_state(Shop)
//!     .layer(RetryLayer::new(Backoff::default())) // layers for all routes, outside their own
//!     .route("orders", bill)
//!     .route(On::topic("orders").header("kind", "refund"), quick.handler(refund))
//!     .route("audit.*", audit)
//!     .fallback(async || Outcome::skip("not ours"));
//! router.check()?; // `consumer.run(router)` asks this too
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

use table::Table;

/// Routes in the making, and the table that `consumer.run` takes. See the [module](self).
#[must_use = "a router does nothing before it is run"]
pub struct Router<T = ()> {
    state: T,
    entries: Vec<(On, Route)>,
    fallback: Option<Route>,
    layers: Vec<Shared>,
    table: OnceLock<Table>,
}

/// A layer for all routes.
#[derive(Clone)]
struct Shared {
    profile: Profile,
    apply: Arc<dyn Fn(BoxRoute) -> BoxRoute + Send + Sync>,
}

impl Router {
    /// A router without routes.
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
    /// Sends the records that `on` describes to a handler: an async function of extractors, a [`Stack`](crate::Stack) with its layers, or
    /// a tower service.
    ///
    /// A text is the name of a topic, or a pattern where there is a `*` in it.
    pub fn route<M, R: IntoRoute<M, T>>(mut self, on: impl Into<On>, route: R) -> Self {
        let route = route.into_route(&self.state);
        let mut on = on.into();
        // A stack that is for some topics stays so.
        if let Some(only) = &route.only {
            on = on.within(only);
        }
        self.entries.push((on, route));
        self.changed()
    }

    /// Sends the records that no route takes to a handler.
    pub fn fallback<M, R: IntoRoute<M, T>>(mut self, route: R) -> Self {
        self.fallback = Some(route.into_route(&self.state));
        self.changed()
    }

    /// Puts a layer around all routes, the fallback and those that are added later included; inside of the layers for all so far, and
    /// outside the routes' own. What it shares, such as a breaker, all routes share.
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

    /// Puts any tower layer around all routes, as [`layer`](Self::layer). What it does is not known here, so that its place is not checked.
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

    /// Holds all routes back while `gate` is closed: by a person, say. See [`Stack::gate`](crate::Stack::gate).
    pub fn gate(self, gate: Gate) -> Self {
        self.layer(crate::hold::HoldLayer::new(gate))
    }

    /// Gives the handlers that are added from here on this state.
    pub fn with_state<U: Clone + Send + Sync + 'static>(self, state: U) -> Router<U> {
        Router {
            state,
            entries: self.entries,
            fallback: self.fallback,
            layers: self.layers,
            table: OnceLock::new(),
        }
    }

    /// Takes the routes of another router in, with their states and layers. Its fallback comes along where this one has none.
    pub fn merge<U>(self, other: Router<U>) -> Self {
        self.nest("", other)
    }

    /// As [`merge`](Self::merge), with `prefix` before each topic and pattern of the other router; its routes for any topic are then for
    /// topics of that prefix, and so is its fallback.
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

    /// The routes and their layers in words.
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
        self.layers.push(Shared {
            profile,
            apply: Arc::new(move |inner| BoxRoute::new(layer.layer(inner))),
        });
        self.changed()
    }

    fn changed(mut self) -> Self {
        self.table = OnceLock::new();
        self
    }

    fn table(&self) -> &Table {
        self.table
            .get_or_init(|| Table::new(&self.entries, self.fallback.as_ref(), &self.layers))
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
