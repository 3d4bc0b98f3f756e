//! A consumer with layers around any handler that it runs.

use std::fmt;
use std::future::Future;

use milena_consumer::{Consumer, ConsumerBuilder, RunReport, RunningConsumer, ShutdownHandle};
use milena_core::{BoxError, Handler, Incoming, Outcome, Result};
use milena_middleware::{HandlerService, Stack, StackLayer};
use tower_layer::{Layer, Stack as Nested};
use tower_service::Service;

/// A builder of a [`LayeredConsumer`]. Made by
/// [`ConsumerBuilderExt::layer`](crate::ConsumerBuilderExt::layer).
#[must_use = "nothing happens before `build`"]
pub struct LayeredConsumerBuilder<L, T = ()> {
    /// The settings of the consumer.
    builder: ConsumerBuilder,
    /// The layers so far.
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
/// # let client = Client::builder()
/// #     .bootstrap(broker.bootstrap())
/// #     .connector(broker.dialer())
/// #     .connect()
/// #     .await?;
/// # let order = milena_core::ProducerRecord::new("orders").value("two stamps");
/// # client.producer().build()?.send(order).await?;
/// let consumer = client
///     .consumer("billing")
///     .topics(["orders"])
///     .layer(RetryLayer::new(Backoff::default())) // outermost
///     .layer(TimeoutLayer::new(Duration::from_secs(5)))
///     .build()?;
/// let stop = consumer.shutdown_handle();
/// let handler = move |Text(order): Text| {
///     println!("billing {order}");
///     stop.shutdown(); // one record is enough here
///     async {}
/// };
/// assert_eq!(consumer.run(handler).await?.processed, 1);
/// # client.close().await;
/// # Ok(())
/// # }
/// ```
pub struct LayeredConsumer<L, T = ()> {
    /// The inner consumer, without layers.
    consumer: Consumer,
    /// The layers for the handler.
    stack: Stack<L, T>,
}

impl<L, T> LayeredConsumerBuilder<L, T> {
    pub(crate) fn new(builder: ConsumerBuilder, stack: Stack<L, T>) -> Self {
        Self { builder, stack }
    }

    /// Adds a layer inside those added so far. See [`Stack::layer`].
    pub fn layer<N: StackLayer>(self, layer: N) -> LayeredConsumerBuilder<Nested<N, L>, T> {
        LayeredConsumerBuilder::new(self.builder, self.stack.layer(layer))
    }

    /// Adds any tower layer inside those added so far. See [`Stack::tower_layer`].
    pub fn tower_layer<N>(self, layer: N) -> LayeredConsumerBuilder<Nested<N, L>, T> {
        LayeredConsumerBuilder::new(self.builder, self.stack.tower_layer(layer))
    }

    /// Sets the state that handlers can take. See [`Stack::with_state`].
    pub fn with_state<U: Clone + Send + Sync + 'static>(
        self,
        state: U,
    ) -> LayeredConsumerBuilder<L, U> {
        LayeredConsumerBuilder::new(self.builder, self.stack.with_state(state))
    }

    /// Changes a setting of the inner consumer.
    pub fn with(mut self, change: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    /// Builds the consumer. It joins the group at its first use.
    ///
    /// # Errors
    /// The same as [`ConsumerBuilder::build`]. The order of the layers is checked by
    /// [`LayeredConsumer::run`].
    pub fn build(self) -> Result<LayeredConsumer<L, T>> {
        let consumer = self.builder.build()?;
        Ok(LayeredConsumer {
            consumer,
            stack: self.stack,
        })
    }
}

impl<L, T> LayeredConsumer<L, T> {
    /// Processes records with a handler inside the layers until the consumer ends, like
    /// [`Consumer::run`].
    ///
    /// # Errors
    /// The same as [`Consumer::run`], and an error with reason and remedy for a wrong order of
    /// layers.
    ///
    /// # Cancel safety
    /// The same as [`Consumer::run`].
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

    /// Processes records like [`run`](Self::run), and shuts down in order when `end` resolves, for
    /// example at a signal.
    ///
    /// # Errors
    /// The same as [`run`](Self::run).
    ///
    /// # Cancel safety
    /// The same as [`run`](Self::run).
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

    /// Processes records like [`run`](Self::run), in a task of its own. See [`Consumer::spawn`].
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

    /// Returns a handle that shuts the consumer down in order.
    #[must_use]
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.consumer.shutdown_handle()
    }

    /// Returns the inner consumer.
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
