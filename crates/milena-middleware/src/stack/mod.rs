//! The stack: layers around a handler, outermost first, with their order checked.

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

/// Layers in the making, outermost first: each sees what those inside let through.
///
/// The default order, outermost first, is dead letter, delayed retry, dedup, retry, emit, circuit breaker, rate limit, concurrency,
/// timeout, recovery, handler; logging goes anywhere. An order that would lose or repeat something is refused when the stack is run, with the reason and the remedy; see
/// [`StackRoutes::check`](milena_core::Routes::check).
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
/// // The other way round a panic would never be tried again.
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
    layers: L,
    state: T,
    profiles: Vec<Profile>,
    name: Option<String>,
    lenient: bool,
}

impl Stack {
    /// A stack without layers.
    pub fn new() -> Self {
        Self {
            layers: Identity::new(),
            state: (),
            profiles: Vec::new(),
            name: None,
            lenient: false,
        }
    }

    /// A stack whose order is warned about and not refused, for the plain chain of recovery, logger and retry that other frameworks have.
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
    /// Adds a layer inside those so far.
    pub fn layer<N: StackLayer>(self, layer: N) -> Stack<Nested<N, L>, T> {
        let profile = layer.profile();
        self.push(layer, profile)
    }

    /// Adds any tower layer inside those so far. What it does is not known here, so that its place is not checked.
    pub fn tower_layer<N>(self, layer: N) -> Stack<Nested<N, L>, T> {
        self.push(layer, Profile::new(Kind::Other, short_name::<N>()))
    }

    /// Holds the route back while `gate` is closed: by a person, say. What has begun goes on; see [`hold`](crate::hold).
    pub fn gate(self, gate: Gate) -> Stack<Nested<HoldLayer, L>, T> {
        self.layer(HoldLayer::new(gate))
    }

    /// Names the route, for logs, metrics and pauses. Default `handler`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The state that [`State`](milena_core::State) gives to the handler, a clone for each record.
    pub fn with_state<U: Clone + Send + Sync + 'static>(self, state: U) -> Stack<L, U> {
        Stack {
            layers: self.layers,
            state,
            profiles: self.profiles,
            name: self.name,
            lenient: self.lenient,
        }
    }

    /// Puts an async function of extractors inside.
    pub fn handler<H, Args>(self, handler: H) -> StackRoutes<L::Service>
    where
        H: Handler<Args, T>,
        L: Layer<HandlerService<H, Args, T>>,
    {
        let handler = HandlerService::new(handler, self.state);
        let service = self.layers.layer(handler);
        StackRoutes::new(service, self.profiles, self.name, self.lenient).calls(short_name::<H>())
    }

    /// Puts an async function of several records inside: it gets what a lane has in its queue, or what lanes have ready at the same time;
    /// see [`batch`](crate::batch).
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

    /// Puts a tower service inside.
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

/// The last part of a type's name.
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
