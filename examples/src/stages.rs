//! The three stages of an order: validate, pay, ship. A router leads each topic's records to a handler inside its layers.

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

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Where the next stage's records go.
    pub topics: Topics,
    /// Takes payments.
    pub gateway: Gateway,
}

/// Passes on orders that can be fulfilled; the others are dead letters.
pub async fn validate(
    State(shop): State<Shop>,
    Key(customer): Key,
    Json(order): Json<Order>,
    out: Emitter,
) -> Result<Outcome, ProcessError> {
    if order.quantity == 0 {
        let why = format!("order {} is for nothing: its quantity is 0", order.id);
        return Ok(Outcome::dead_letter(why));
    }
    let record = ProducerRecord::new(shop.topics.validated).key(customer);
    out.emit(record.json(&order)?);
    Ok(Outcome::Ack)
}

/// Charges for an order; the gateway's failures are retried, and its outages waited out.
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

/// The stages with their layers, outermost first, for `consumer.run`.
///
/// What fails for good goes to the dead letter topic with its cause; what may pass is tried again. While payments are down, their breaker
/// holds back the partitions of orders to be paid, and of no others, instead of spending attempts.
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

/// A member of the group that handles orders: those of one customer one after the other, those of different customers side by side.
///
/// # Errors
/// Where a setting of the client is not right.
pub fn consumer(client: &Client, topics: &Topics, group: String) -> Result<Consumer> {
    let consumer = client.consumer(group).topics(topics.handled());
    consumer.order(consumer::Order::Key(8)).build()
}

/// The breaker that opens while payments are down.
#[must_use]
pub fn payments() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new("payments").open_for(Duration::from_millis(250))
}
