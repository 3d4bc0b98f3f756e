//! The three stages of an order: validate, pay, ship. Each is a consumer group with a stack of layers around its handler.

use std::time::Duration;

use milena::middleware::{
    CircuitBreakerLayer, DeadLetterLayer, LogLayer, MetricsLayer, RecoveryLayer, RetryLayer, Stack,
    TimeoutLayer,
};
use milena::trace::TraceLayer;
use milena::{
    Attempt, Backoff, BoxError, Client, Consumer, Error, ErrorKind, Gate, Handler, Incoming, Json,
    JsonExt, Outcome, ProcessError, ProducerRecord, Result, Routes, RunReport, ShutdownHandle,
    State,
};
use tokio::task::{JoinError, JoinSet};
use tower_service::Service;

use crate::gateway::Gateway;
use crate::order::{Order, PaidOrder, Shipment};
use crate::tally::Tally;
use crate::topics::Topics;
use crate::watch::Writer;

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Where the next stage's records go.
    pub topics: Topics,
    /// Writes them.
    pub producer: Writer,
    /// Takes payments.
    pub gateway: Gateway,
    /// Counts.
    pub tally: Tally,
}

/// Passes on orders that can be fulfilled; the others are dead letters.
pub async fn validate(
    State(shop): State<Shop>,
    Json(order): Json<Order>,
) -> Result<Outcome, ProcessError> {
    if order.quantity == 0 {
        return Ok(Outcome::dead_letter(format!(
            "order {} is for nothing: its quantity is 0",
            order.id
        )));
    }
    let record = ProducerRecord::new(&shop.topics.validated).key(order.customer.clone());
    shop.producer.send(record.json(&order)?).await?;
    shop.tally.count_validated();
    Ok(Outcome::Ack)
}

/// Charges for an order; the gateway's failures are retried, and its outages waited out.
pub async fn pay(
    State(shop): State<Shop>,
    Attempt(attempt): Attempt,
    Json(order): Json<Order>,
) -> Result<Outcome, ProcessError> {
    let receipt = shop.gateway.charge(&order, attempt).await?;
    let record = ProducerRecord::new(&shop.topics.paid).key(order.customer.clone());
    shop.producer
        .send(record.json(&PaidOrder { order, receipt })?)
        .await?;
    shop.tally.count_paid();
    if attempt > 1 {
        shop.tally.count_retried();
    }
    Ok(Outcome::Ack)
}

/// Hands an order to the carrier.
pub async fn ship(
    State(shop): State<Shop>,
    Json(paid): Json<PaidOrder>,
) -> Result<Outcome, ProcessError> {
    let order = paid.order;
    let shipment = Shipment {
        order: order.id,
        parcel: format!("parcel-{:08}", order.id),
    };
    let record = ProducerRecord::new(&shop.topics.shipped).key(order.customer);
    shop.producer.send(record.json(&shipment)?).await?;
    shop.tally.count_shipped();
    Ok(Outcome::Ack)
}

/// The three stages at work, each a member of a consumer group of its own.
pub struct Stages {
    running: JoinSet<Result<RunReport>>,
    stops: Vec<ShutdownHandle>,
    payments: Gate,
}

impl Stages {
    /// Starts them; `prefix` sets the groups of different systems apart.
    ///
    /// # Errors
    /// Where a setting is not right.
    pub fn start(client: &Client, shop: &Shop, prefix: &str) -> Result<Self> {
        let payments = CircuitBreakerLayer::new("payments")
            .consecutive(5)
            .open_for(Duration::from_millis(250));
        let gate = payments.breaker().gate().clone();
        let mut stages = Self {
            running: JoinSet::new(),
            stops: Vec::new(),
            payments: gate,
        };
        let group = |stage: &str| client.consumer(format!("{prefix}{stage}"));

        let validating = group("validate").topics([&shop.topics.orders]).build()?;
        stages.run(
            validating,
            stack(
                "validate",
                shop,
                CircuitBreakerLayer::new("stock"),
                validate,
            ),
        );
        let paying = group("pay").topics([&shop.topics.validated]).build()?;
        stages.run(paying, stack("pay", shop, payments, pay));
        let shipping = group("ship").topics([&shop.topics.paid]).build()?;
        stages.run(
            shipping,
            stack("ship", shop, CircuitBreakerLayer::new("carrier"), ship),
        );
        Ok(stages)
    }

    /// The gate that is closed while payments are down.
    #[must_use]
    pub fn payments(&self) -> Gate {
        self.payments.clone()
    }

    /// Ends in good order when `end` resolves, or when a stage fails; says how many dead letters were written.
    ///
    /// # Errors
    /// Why a stage failed.
    pub async fn run_until(mut self, end: impl Future) -> Result<u64> {
        let ended = tokio::select! {
            _ = end => None,
            ended = self.running.join_next() => ended,
        };
        let stopped = self.stop().await;
        Ok(ended.map_or(Ok(0), dead_letters)? + stopped?)
    }

    /// Ends in good order: handlers finish, offsets are committed, groups are left. Says how many dead letters were written.
    ///
    /// # Errors
    /// Why a stage failed.
    pub async fn stop(mut self) -> Result<u64> {
        self.stops.iter().for_each(ShutdownHandle::shutdown);
        let mut total = Ok(0);
        while let Some(ended) = self.running.join_next().await {
            let ended = dead_letters(ended);
            total = total.and_then(|so_far| Ok(so_far + ended?));
        }
        total
    }

    fn run(&mut self, consumer: Consumer, stack: impl Stage) {
        self.stops.push(consumer.shutdown_handle());
        self.running.spawn(async move { consumer.run(stack).await });
    }
}

fn dead_letters(ended: std::result::Result<Result<RunReport>, JoinError>) -> Result<u64> {
    let ended = ended
        .map_err(|cause| Error::new(ErrorKind::State, "a stage was cut off").with_source(cause))?;
    Ok(ended?.dead_lettered)
}

/// A handler with its layers.
trait Stage:
    Routes<Service: Service<Incoming, Response = Outcome, Error = BoxError, Future: Send + 'static>>
{
}

impl<R> Stage for R where
    R: Routes<
        Service: Service<Incoming, Response = Outcome, Error = BoxError, Future: Send + 'static>,
    >
{
}

/// The layers around a handler, outermost first.
///
/// What fails for good goes to the dead letter topic with its cause; what may pass is tried again. While the dependency is down, its
/// breaker holds the partitions back instead of spending attempts.
fn stack<H: Handler<Args, Shop>, Args: 'static>(
    name: &str,
    shop: &Shop,
    dependency: CircuitBreakerLayer,
    handler: H,
) -> impl Stage {
    Stack::new()
        .layer(TraceLayer::new().group(name).sample(0.0))
        .layer(LogLayer::new())
        .layer(DeadLetterLayer::new(
            &shop.topics.dead_letters,
            shop.producer.clone(),
        ))
        .layer(
            RetryLayer::new(Backoff::new(
                Duration::from_millis(20),
                Duration::from_millis(500),
            ))
            .max_attempts(12),
        )
        .layer(TraceLayer::attempts())
        .layer(MetricsLayer::new())
        .layer(dependency)
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .layer(RecoveryLayer::new())
        .named(name)
        .with_state(shop.clone())
        .handler(handler)
}
