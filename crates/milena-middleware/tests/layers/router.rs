//! A router sends each record to the most specific route, and refuses routes that take the same
//! records.

use std::time::Duration;

use milena_core::{
    BoxError, ConsumerRecord, ErrorClass, Gate, Incoming, Outcome, ProcessError, Routes, State,
    Topic,
};
use milena_middleware::{
    CircuitBreakerLayer, DeadLetterLayer, On, RecoveryLayer, RetryLayer, Router, Stack,
};
use tokio::time::timeout;
use tower::{Service, ServiceExt, service_fn};

use crate::bed::{Sink, class};

fn record(topic: &str) -> ConsumerRecord {
    ConsumerRecord::new(topic, 0, 7)
}

fn with(topic: &str, headers: &[(&'static str, &'static str)]) -> ConsumerRecord {
    let mut record = record(topic);
    record.headers.extend(headers.iter().copied());
    record
}

async fn route<R>(router: &R, record: ConsumerRecord) -> Result<Outcome, ProcessError>
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome>,
    <R::Service as Service<Incoming>>::Error: Into<BoxError>,
{
    let service = router.service(router.select(&record));
    let answer = service.oneshot(Incoming::new(record)).await;
    answer.map_err(|error| ProcessError::from_boxed(error.into()))
}

/// A handler that answers with its name.
fn says(name: &'static str) -> impl milena_core::Handler<()> + milena_core::Handler<(), u8> {
    move || async move { Outcome::skip(name) }
}

fn defect<T: Send + Sync + 'static>(router: &Router<T>) -> String {
    router.check().unwrap_err().to_string()
}

#[tokio::test]
async fn the_route_that_says_most_takes_the_record() {
    let router = Router::new()
        .route(On::any(), says("any"))
        .route("*", says("every topic"))
        .route("orders.*", says("orders of somewhere"))
        .route("orders.eu.*", says("orders of a country"))
        .route("orders", says("orders"))
        .route(
            On::topic("orders").header("kind", "refund"),
            says("refunds"),
        )
        .route(
            On::topic("orders")
                .header("kind", "refund")
                .has_header("urgent"),
            says("urgent refunds"),
        )
        .fallback(says("never"));
    router.check().unwrap();
    for (record, expected) in [
        (record("orders"), "orders"),
        (with("orders", &[("kind", "refund")]), "refunds"),
        (with("orders", &[("kind", "order")]), "orders"),
        (
            with("orders", &[("kind", "refund"), ("urgent", "")]),
            "urgent refunds",
        ),
        (record("orders.us"), "orders of somewhere"),
        (record("orders.eu.de"), "orders of a country"),
        (record("bills"), "every topic"),
    ] {
        let text = format!("{record:?}");
        assert_eq!(
            route(&router, record).await.unwrap(),
            Outcome::skip(expected),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_predicate_is_asked_before_the_route_without_one() {
    let router = Router::new().route("orders", says("small")).route(
        On::topic("orders").when("large", |record| {
            record.value.as_ref().is_some_and(|value| value.len() > 3)
        }),
        says("large"),
    );
    let mut large = record("orders");
    large.value = Some("much".into());
    assert_eq!(route(&router, large).await.unwrap(), Outcome::skip("large"));
    assert_eq!(
        route(&router, record("orders")).await.unwrap(),
        Outcome::skip("small")
    );
}

#[tokio::test]
async fn what_no_route_takes_goes_to_the_fallback_or_is_poison_and_never_passed_over() {
    let router = Router::new().route("orders", says("orders"));
    let answer = route(&router, record("bills")).await;
    assert_eq!(class(&answer), Some(ErrorClass::Poison));
    let text = answer.unwrap_err().to_string();
    assert!(
        text.contains("no route takes this record of bills-0 at 7"),
        "{text}"
    );

    let sink = Sink::default();
    let writing = router.layer(DeadLetterLayer::new("dead", sink.clone()));
    let outcome = route(&writing, record("bills")).await.unwrap();
    assert!(matches!(outcome, Outcome::DeadLettered(_)));
    assert_eq!(sink.letters.lock().len(), 1);

    let router = writing.fallback(says("the rest"));
    assert_eq!(
        route(&router, record("bills")).await.unwrap(),
        Outcome::skip("the rest")
    );
}

#[tokio::test]
async fn handlers_stacks_and_services_are_routes_and_each_has_the_state_before_it() {
    let service = service_fn(|_: Incoming| async { Ok::<_, BoxError>(Outcome::skip("service")) });
    let router = Router::new()
        .with_state(7u8)
        .route("state", async |State(n): State<u8>| {
            Outcome::skip(n.to_string())
        })
        .with_state("text")
        .route("text", async |State(s): State<&'static str>| {
            Outcome::skip(s)
        })
        .route("service", service)
        .route(
            "stack",
            Stack::new().layer(RecoveryLayer::new()).handler(async || {
                assert!(std::hint::black_box(false), "by design");
            }),
        );
    for (topic, expected) in [("state", "7"), ("text", "text"), ("service", "service")] {
        assert_eq!(
            route(&router, record(topic)).await.unwrap(),
            Outcome::skip(expected)
        );
    }
    let answer = route(&router, record("stack")).await;
    assert_eq!(class(&answer), Some(ErrorClass::Panic));
}

#[test]
fn routes_that_nothing_tells_apart_are_refused_by_name() {
    let twice = Router::new()
        .route("orders", Stack::new().named("one").handler(async || ()))
        .route(
            On::topics(["bills", "orders"]),
            Stack::new().named("two").handler(async || ()),
        );
    let text = defect(&twice);
    assert!(
        text.contains("`one` and `two`")
            && text.contains("the topic `orders`")
            && text.contains("remove one"),
        "{text}"
    );
    let told_apart = twice.route(On::topic("orders").has_header("x"), says("three"));
    assert!(defect(&told_apart).contains("the topic `orders`"));

    let patterns = Router::new()
        .route("a.*", says("1"))
        .route("*.a", says("2"));
    assert!(
        defect(&patterns).contains("neither is more specific"),
        "{}",
        defect(&patterns)
    );
    Router::new()
        .route("ab.*", says("1"))
        .route("*.a", says("2"))
        .check()
        .unwrap();
    Router::new()
        .route("a.*", says("1"))
        .route("b.*", says("2"))
        .check()
        .unwrap();
}

#[test]
fn an_empty_router_a_wrong_name_and_a_wrong_order_are_refused() {
    assert!(defect(&Router::new()).contains("no routes"));
    assert!(defect(&Router::new().route("a b", says("1"))).contains("letters, digits"));
    let wrong = Router::new().layer(RecoveryLayer::new()).route(
        "orders",
        Stack::new()
            .layer(RetryLayer::fixed(Duration::ZERO))
            .handler(async || ()),
    );
    let text = defect(&wrong);
    assert!(
        text.contains("in the route `orders`") && text.contains("put recovery inside retry"),
        "{text}"
    );
}

#[tokio::test]
async fn a_nested_router_keeps_its_state_and_layers_and_gets_a_prefix() {
    let sink = Sink::default();
    let inner = Router::new()
        .with_state(1u8)
        .layer(DeadLetterLayer::new("dead", sink.clone()))
        .route("orders", async |State(n): State<u8>| {
            Outcome::dead_letter(n.to_string())
        })
        .fallback(says("rest of eu"));
    let router = Router::new()
        .route("orders", says("orders"))
        .nest("eu.", inner);
    router.check().unwrap();
    assert_eq!(
        route(&router, record("orders")).await.unwrap(),
        Outcome::skip("orders")
    );
    let outcome = route(&router, record("eu.orders")).await.unwrap();
    assert!(matches!(outcome, Outcome::DeadLettered(_)));
    assert_eq!(
        route(&router, record("eu.x")).await.unwrap(),
        Outcome::skip("rest of eu")
    );
    assert!(route(&router, record("us.x")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_route_that_is_held_holds_no_other_one_back() {
    let second = Duration::from_secs(1);
    let gate = Gate::new("operator:stocktaking");
    let router = Router::new()
        .route(
            "orders",
            Stack::new().gate(gate.clone()).handler(async || ()),
        )
        .route("bills", async || ());
    gate.close("the warehouse is moving");
    let (orders, bills) = (
        router.select(&record("orders")),
        router.select(&record("bills")),
    );
    let info = router.routes();
    assert!(info[orders].gates[0].same(&gate) && info[bills].gates.is_empty());
    assert!(info[orders].takes(&"orders".into()) && !info[orders].takes(&"bills".into()));
    assert_eq!(route(&router, record("bills")).await.unwrap(), Outcome::Ack);
    let mut held = router.service(orders);
    assert!(timeout(second, held.ready()).await.is_err());
    gate.open();
    timeout(second, held.ready()).await.unwrap().unwrap();
}

#[test]
fn a_layer_for_all_is_shared_by_all_and_explained() {
    let breaker = CircuitBreakerLayer::new("payments");
    let gate = breaker.breaker().gate().clone();
    let router = Router::new()
        .route("orders", says("1"))
        .route("refunds.*", says("2"))
        .layer(breaker);
    assert!(router.routes().iter().all(|info| info.gates[0].same(&gate)));
    let text = router.explain();
    assert!(
        text.contains("route orders: orders") && text.contains("circuit breaker"),
        "{text}"
    );
    assert!(
        text.contains("a record that no route takes: stops its lane"),
        "{text}"
    );
}

#[tokio::test]
async fn the_topic_that_a_handler_sees_is_the_records_own() {
    let router = Router::new().route("*", async |Topic(topic): Topic| {
        Outcome::skip(topic.to_string())
    });
    assert_eq!(
        route(&router, record("x")).await.unwrap(),
        Outcome::skip("x")
    );
}

#[tokio::test]
async fn of_two_endings_of_retry_topics_the_longer_one_counts() {
    use milena_middleware::{DelayedRetryLayer, RetryTopics};
    let sink = Sink::default();
    let five = RetryTopics::new([Duration::from_secs(5)]);
    for group in ["billing", "zeta"] {
        let own = five.clone().for_group(group);
        let layer = |topics: &RetryTopics| DelayedRetryLayer::new(topics.clone(), sink.clone());
        let router = Router::new()
            .route(
                "orders",
                Stack::new().layer(layer(&own)).handler(says("orders")),
            )
            .route(
                "bills",
                Stack::new().layer(layer(&five)).handler(says("bills")),
            )
            .fallback(says("nobody"));
        let topic = format!("orders.{group}.retry.5s");
        let answer = route(&router, record(&topic)).await.unwrap();
        assert_eq!(answer, Outcome::skip("orders"), "{topic}");
    }
}

#[tokio::test]
async fn a_stack_that_is_for_some_topics_stays_so_in_a_router() {
    let own = || Stack::new().handler(says("orders")).for_topics(["orders"]);
    for on in [On::any(), On::pattern("*"), On::topics(["orders", "bills"])] {
        let router = Router::new().route(on, own()).fallback(says("nobody"));
        router.check().unwrap();
        let answer = |topic| route(&router, record(topic));
        assert_eq!(answer("orders").await.unwrap(), Outcome::skip("orders"));
        assert_eq!(answer("bills").await.unwrap(), Outcome::skip("nobody"));
    }
}

#[test]
fn what_becomes_of_a_record_that_no_route_takes_is_explained() {
    let router = Router::new().route("orders", says("orders"));
    let text = router.explain();
    assert!(
        text.contains("a record that no route takes: stops its lane"),
        "{text}"
    );
    let sink = Sink::default();
    let router = router.layer(DeadLetterLayer::new("dead", sink));
    let text = router.explain();
    assert!(
        text.contains("a record that no route takes: a dead letter"),
        "{text}"
    );
}
