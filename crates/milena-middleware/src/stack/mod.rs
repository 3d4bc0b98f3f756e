//! The stack. Holds layers around a handler, outermost first, and checks their order.

mod handler;
pub(crate) mod order;
mod presets;
mod profile;
mod routes;

use std::fmt;
use std::future::Future;

use milena_core::{BatchSize, FromRecord, Gate, Handler, IntoBatchOutcome};
use tower_layer::{Identity, Layer, Stack as Nested};

use crate::batch::{BatchService, Batching};
use crate::hold::HoldLayer;

pub use handler::HandlerService;
pub use presets::{Chain, ChainLayers, StandardLayers};
pub use profile::{Kind, Profile, StackLayer};
pub use routes::StackRoutes;

pub(crate) use routes::route_info;

/// A builder of layers, outermost first. Each layer sees only the outcomes and errors that the
/// layers inside it return.
///
/// The default order, outermost first, is dead letter, delayed retry, dedup, retry, emit, circuit
/// breaker, rate limit, concurrency, timeout, recovery, handler. Logging goes anywhere. Running a
/// stack checks its order. An order that would lose or repeat something is refused with the reason
/// and the remedy. See [`StackRoutes::check`](milena_core::Routes::check).
///
/// ```
/// use milena_core::{Backoff, Routes, State, Text};
/// use milena_middleware::{RecoveryLayer, RetryLayer, Stack};
///
/// async fn bill(State(currency): State<&'static str>, Text(order): Text) {
///     println!("billing {order} in {currency}");
/// }
///
/// let stack = Stack::new()
///     .layer(RetryLayer::new(Backoff::default()))
///     .layer(RecoveryLayer::new())
///     .with_state("EUR")
///     .handler(bill);
/// stack.check()?;
///
/// // In the other order a panic would never be retried.
/// let wrong = Stack::new()
///     .layer(RecoveryLayer::new())
///     .layer(RetryLayer::new(Backoff::default()))
///     .handler(async || ());
/// assert!(wrong.check().unwrap_err().to_string().contains("recovery"));
/// # Ok::<_, milena_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a stack does nothing before it has a handler"]
pub struct Stack<L = Identity, T = ()> {
    /// The layers so far, as one tower layer.
    layers: L,
    /// The state for the handler.
    state: T,
    /// The descriptions of the layers, outermost first.
    profiles: Vec<Profile>,
    /// The name of the route. `None` for the default.
    name: Option<String>,
    /// True if a wrong order is only a warning.
    lenient: bool,
}

impl Stack {
    /// Creates a stack without layers.
    pub fn new() -> Self {
        Self {
            layers: Identity::new(),
            state: (),
            profiles: Vec::new(),
            name: None,
            lenient: false,
        }
    }

    /// Creates a stack that warns about a wrong order instead of refusing it. Serves the plain
    /// chain of recovery, logger and retry that other frameworks have.
    pub fn chain() -> Self {
        Self {
            lenient: true,
            ..Self::new()
        }
    }
}

impl Default for Stack {
    fn default() -> Self {
        Self::new()
    }
}

impl<L, T> Stack<L, T> {
    /// Adds a layer inside those added so far.
    pub fn layer<N: StackLayer>(self, layer: N) -> Stack<Nested<N, L>, T> {
        let profile = layer.profile();
        self.push(layer, profile)
    }

    /// Adds any tower layer inside those added so far. Its purpose is not known here, so its place
    /// is not checked.
    pub fn tower_layer<N>(self, layer: N) -> Stack<Nested<N, L>, T> {
        self.push(layer, Profile::new(Kind::Other, short_name::<N>()))
    }

    /// Stops the route while `gate` is closed, for example by an operator. Records that have begun
    /// go on. See [`hold`](crate::hold).
    pub fn gate(self, gate: Gate) -> Stack<Nested<HoldLayer, L>, T> {
        self.layer(HoldLayer::new(gate))
    }

    /// Sets the name of the route for logs, metrics and pauses. Default `handler`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the state that [`State`](milena_core::State) gives to the handler. Each record gets a
    /// clone.
    pub fn with_state<U: Clone + Send + Sync + 'static>(self, state: U) -> Stack<L, U> {
        Stack {
            layers: self.layers,
            state,
            profiles: self.profiles,
            name: self.name,
            lenient: self.lenient,
        }
    }

    /// Sets an async function of extractors as the handler.
    pub fn handler<H, Args>(self, handler: H) -> StackRoutes<L::Service>
    where
        H: Handler<Args, T>,
        L: Layer<HandlerService<H, Args, T>>,
    {
        let handler = HandlerService::new(handler, self.state);
        let service = self.layers.layer(handler);
        StackRoutes::new(service, self.profiles, self.name, self.lenient).calls(short_name::<H>())
    }

    /// Sets an async function of several records as the handler.
    ///
    /// It gets the records that a lane has in its queue, or that several lanes have ready at the
    /// same time. See [`batch`](crate::batch).
    pub fn batch<H, A, Fut>(mut self, batching: Batching, handler: H) -> StackRoutes<L::Service>
    where
        H: Fn(Vec<A>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoBatchOutcome + Send,
        A: FromRecord<T> + Send + 'static,
        T: Send + Sync + 'static,
        L: Layer<BatchService>,
    {
        let Batching { most, within } = batching;
        let text = format!("up to {most} records that come within {within:?}");
        let records = most;
        let profile = Profile::new(Kind::Batch, text).batch(BatchSize { records, within });
        self.profiles.push(profile);
        let service = BatchService::new(batching, handler, self.state);
        let service = self.layers.layer(service);
        StackRoutes::new(service, self.profiles, self.name, self.lenient).calls(short_name::<H>())
    }

    /// Sets a tower service as the handler.
    pub fn service<S>(self, service: S) -> StackRoutes<L::Service>
    where
        L: Layer<S>,
    {
        let service = self.layers.layer(service);
        StackRoutes::new(service, self.profiles, self.name, self.lenient).calls(short_name::<S>())
    }

    fn push<N>(mut self, layer: N, profile: Profile) -> Stack<Nested<N, L>, T> {
        self.profiles.push(profile);
        Stack {
            layers: Nested::new(layer, self.layers),
            state: self.state,
            profiles: self.profiles,
            name: self.name,
            lenient: self.lenient,
        }
    }
}

/// Returns the last part of a type's name.
pub(crate) fn short_name<N>() -> String {
    let name = std::any::type_name::<N>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name).to_owned()
}

impl<L, T> fmt::Debug for Stack<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stack").field(&self.profiles).finish()
    }
}
