//! A consumer with layers around whatever handler it will run.

use std::fmt;
use std::future::Future;

use milena_consumer::{Consumer, ConsumerBuilder, RunReport, RunningConsumer, ShutdownHandle};
use milena_core::{BoxError, Handler, Incoming, Outcome, Result};
use milena_middleware::{HandlerService, Stack, StackLayer};
use tower_layer::{Layer, Stack as Nested};
use tower_service::Service;

/// Sets up a [`LayeredConsumer`]. Begun by [`ConsumerBuilderExt::layer`](crate::ConsumerBuilderExt::layer).
#[must_use = "nothing happens before `build`"]
pub struct LayeredConsumerBuilder<L, T = ()> {
    builder: ConsumerBuilder,
    stack: Stack<L, T>,
}

/// A consumer and the layers around its handler.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> milena_core::Result<()> {
/// use std::time::Duration;
///
/// use milena_client::core::{Backoff, Text};
/// use milena_client::middleware::{RetryLayer, TimeoutLayer};
/// use milena_client::{Client, ConsumerBuilderExt};
///
/// # let broker = milena_broker::Broker::builder().topic("orders", 1).start().await?;
/// # let client = Client::builder().bootstrap(broker.bootstrap()).connector(broker.dialer()).connect().await?;
/// # client.producer().build()?.send(milena_core::ProducerRecord::new("orders").value("two stamps")).await?;
/// let consumer = client
///     .consumer("billing")
///     .topics(["orders"])
///     .layer(RetryLayer::new(Backoff::default())) // outermost
///     .layer(TimeoutLayer::new(Duration::from_secs(5)))
///     .build()?;
/// let stop = consumer.shutdown_handle();
/// let handler = move |Text(order): Text| {
///     println!("billing {order}");
///     stop.shutdown(); // one is enough here
///     async {}
/// };
/// assert_eq!(consumer.run(handler).await?.processed, 1);
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
pub struct LayeredConsumer<L, T = ()> {
    consumer: Consumer,
    stack: Stack<L, T>,
}

impl<L, T> LayeredConsumerBuilder<L, T> {
    pub(crate) fn new(builder: ConsumerBuilder, stack: Stack<L, T>) -> Self {
        Self { builder, stack }
    }

    /// Adds a layer inside those so far; see [`Stack::layer`].
    pub fn layer<N: StackLayer>(self, layer: N) -> LayeredConsumerBuilder<Nested<N, L>, T> {
        LayeredConsumerBuilder::new(self.builder, self.stack.layer(layer))
    }

    /// Adds any tower layer inside those so far; see [`Stack::tower_layer`].
    pub fn tower_layer<N>(self, layer: N) -> LayeredConsumerBuilder<Nested<N, L>, T> {
        LayeredConsumerBuilder::new(self.builder, self.stack.tower_layer(layer))
    }

    /// The state that handlers ask for; see [`Stack::with_state`].
    pub fn with_state<U: Clone + Send + Sync + 'static>(
        self,
        state: U,
    ) -> LayeredConsumerBuilder<L, U> {
        LayeredConsumerBuilder::new(self.builder, self.stack.with_state(state))
    }

    /// Changes a setting of the consumer below.
    pub fn with(mut self, change: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Builds the consumer; it joins at its first use.
    ///
    /// # Errors
    /// As [`ConsumerBuilder::build`]. The order of the layers is checked by [`LayeredConsumer::run`].
    pub fn build(self) -> Result<LayeredConsumer<L, T>> {
        let consumer = self.builder.build()?;
        Ok(LayeredConsumer {
            consumer,
            stack: self.stack,
        })
    }
}

impl<L, T> LayeredConsumer<L, T> {
    /// Processes records with a handler inside the layers until the end, as [`Consumer::run`].
    ///
    /// # Errors
    /// As [`Consumer::run`]; an order of layers that is refused, with the reason and the remedy.
    ///
    /// # Cancel safety
    /// As [`Consumer::run`].
    pub async fn run<H, Args>(self, handler: H) -> Result<RunReport>
    where
        H: Handler<Args, T>,
        L: Layer<HandlerService<H, Args, T>>,
        L::Service: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
        <L::Service as Service<Incoming>>::Error: Into<BoxError>,
        <L::Service as Service<Incoming>>::Future: Send + 'static,
    {
        self.consumer.run(self.stack.handler(handler)).await
    }

    /// As [`run`](Self::run), and ends in good order when `end` resolves: at a signal, say.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    /// As [`run`](Self::run).
    pub async fn run_until<H, Args>(self, handler: H, end: impl Future) -> Result<RunReport>
    where
        H: Handler<Args, T>,
        L: Layer<HandlerService<H, Args, T>>,
        L::Service: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
        <L::Service as Service<Incoming>>::Error: Into<BoxError>,
        <L::Service as Service<Incoming>>::Future: Send + 'static,
    {
        let routes = self.stack.handler(handler);
        self.consumer.run_until(routes, end).await
    }

    /// As [`run`](Self::run), in a task of its own; see [`Consumer::spawn`].
    pub fn spawn<H, Args>(self, handler: H) -> RunningConsumer
    where
        H: Handler<Args, T>,
        L: Layer<HandlerService<H, Args, T>>,
        L::Service: Service<Incoming, Response = Outcome> + Clone + Send + 'static,
        <L::Service as Service<Incoming>>::Error: Into<BoxError>,
        <L::Service as Service<Incoming>>::Future: Send + 'static,
    {
        self.consumer.spawn(self.stack.handler(handler))
    }

    /// A handle that ends the consumer in good order.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.consumer.shutdown_handle()
    }

    /// The consumer below.
    #[must_use]
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }
}

impl<L, T> fmt::Debug for LayeredConsumerBuilder<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredConsumerBuilder")
            .field("builder", &self.builder)
            .field("stack", &self.stack)
            .finish()
    }
}

impl<L, T> fmt::Debug for LayeredConsumer<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayeredConsumer")
            .field("consumer", &self.consumer)
            .field("stack", &self.stack)
            .finish()
    }
}
