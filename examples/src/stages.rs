//! The three stages of an order, which validate, pay and ship it. A router sends each topic's
//! records to a handler inside its layers.

use std::time::Duration;

use milena::middleware::{
    CircuitBreakerLayer, DeadLetterLayer, EmitLayer, LogLayer, MetricsLayer, RecoveryLayer,
    RetryLayer, Router, Stack, TimeoutLayer,
};
use milena::trace::TraceLayer;
use milena::{
    Attempt, Backoff, Client, Consumer, Emitter, Json, JsonExt, Key, Outcome, ProcessError,
    ProducerRecord, Result, State, consumer,
};

use crate::gateway::Gateway;
use crate::order::{Order, PaidOrder, Shipment};
use crate::topics::Topics;
use crate::watch::Writer;

/// The state that the handlers share.
#[derive(Clone, Debug)]
pub struct Shop {
    /// The topics for the records of the next stage.
    pub topics: Topics,
    /// The gateway that takes payments.
    pub gateway: Gateway,
}

/// Passes on orders that can be fulfilled. The others become dead letters.
pub async fn validate(
    State(shop): State<Shop>,
    Key(customer): Key,
    Json(order): Json<Order>,
    out: Emitter,
) -> Result<Outcome, ProcessError> {
    if order.quantity == 0 {
        let why = format!("order {} has no items: its quantity is 0", order.id);
        return Ok(Outcome::dead_letter(why));
    }
    let record = ProducerRecord::new(shop.topics.validated).key(customer);
    out.emit(record.json(&order)?);
    Ok(Outcome::Ack)
}

/// Charges for an order. Failures of the gateway are retried. During an outage the order waits.
pub async fn pay(
    State(shop): State<Shop>,
    Attempt(attempt): Attempt,
    Key(customer): Key,
    Json(order): Json<Order>,
    out: Emitter,
) -> Result<(), ProcessError> {
    let receipt = shop.gateway.charge(&order, attempt).await?;
    let paid = PaidOrder { order, receipt };
    let record = ProducerRecord::new(shop.topics.paid).key(customer);
    out.emit(record.json(&paid)?);
    Ok(())
}

/// Hands an order to the carrier.
pub async fn ship(
    State(shop): State<Shop>,
    Key(customer): Key,
    Json(PaidOrder { order, .. }): Json<PaidOrder>,
    out: Emitter,
) -> Result<(), ProcessError> {
    let parcel = format!("parcel-{:08}", order.id);
    let shipment = Shipment {
        order: order.id,
        parcel,
    };
    let record = ProducerRecord::new(shop.topics.shipped).key(customer);
    out.emit(record.json(&shipment)?);
    Ok(())
}

/// Builds the stages with their layers, outermost first, for `consumer.run`.
///
/// A record that fails finally goes to the dead letter topic with its cause. An error that may pass
/// by itself is retried. While payments are down, their breaker stops only the partitions of orders
/// to be paid, and no attempts are spent.
pub fn router(shop: &Shop, writer: Writer, payments: CircuitBreakerLayer) -> Router {
    let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));
    let topics = &shop.topics;
    let stage = |name: &str, dependency| {
        Stack::new()
            .named(name)
            .layer::<CircuitBreakerLayer>(dependency)
            .layer(TimeoutLayer::new(Duration::from_secs(5)))
            .layer(RecoveryLayer::new())
            .with_state(shop.clone())
    };
    Router::new()
        .layer(TraceLayer::new().sample(0.0))
        .layer(LogLayer::new())
        .layer(DeadLetterLayer::new(&topics.dead_letters, writer.clone()))
        .layer(RetryLayer::new(backoff).max_attempts(12))
        .layer(TraceLayer::attempts())
        .layer(MetricsLayer::new())
        .layer(EmitLayer::new(writer))
        .route(
            &topics.orders,
            stage("validate", CircuitBreakerLayer::new("stock")).handler(validate),
        )
        .route(&topics.validated, stage("pay", payments).handler(pay))
        .route(
            &topics.paid,
            stage("ship", CircuitBreakerLayer::new("carrier")).handler(ship),
        )
}

/// Builds a member of the group that handles orders. The orders of one customer are handled one
/// after the other, those of different customers at the same time.
///
/// # Errors
/// An error for a wrong setting of the client.
pub fn consumer(client: &Client, topics: &Topics, group: String) -> Result<Consumer> {
    let consumer = client.consumer(group).topics(topics.handled());
    consumer.order(consumer::Order::Key(8)).build()
}

/// Creates the breaker that opens while payments are down.
#[must_use]
pub fn payments() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new("payments").open_for(Duration::from_millis(250))
}
