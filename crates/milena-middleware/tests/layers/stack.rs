//! A stack explains itself, and refuses an order that would lose or repeat something.

use std::time::Duration;

use milena_core::{ErrorKind, Outcome, Routes, State};
use milena_middleware::{
    Chain, CircuitBreakerLayer, DeadLetterLayer, LogLayer, RecoveryLayer, RetryLayer, Stack,
    TimeoutLayer,
};
use tower::layer::util::Identity;

use crate::bed::{Sink, call, incoming};

async fn pay() {}

#[test]
fn a_stack_explains_itself_outermost_first() {
    let stack = Stack::new()
        .layer(LogLayer::new())
        .layer(DeadLetterLayer::new("orders.dead", Sink::default()))
        .layer(RetryLayer::fixed(Duration::from_secs(1)).max_attempts(3))
        .layer(CircuitBreakerLayer::new("payments"))
        .layer(TimeoutLayer::new(Duration::from_secs(5)).grace(Duration::ZERO))
        .layer(RecoveryLayer::new())
        .handler(pay);
    stack.check().unwrap();
    let expected = "\
 1  log              one line for each end
 2  dead letter      to `orders.dead`, acknowledged first
 3  retry            up to 3 attempts
 4  circuit breaker  `payments`; open for 5s, records wait meanwhile; one that is its probe 120 times in a row counts again
 5  timeout          5s per attempt
 6  recovery         panics become errors
 7  handler          pay
worst case per record: 17s, and the time that a closed gate holds it back
note: without a metrics layer inside the retry layer, metrics count a record's attempts as one, waits included";
    let lines = |text: &str| {
        text.lines()
            .map(|line| line.trim().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(&stack.explain()), lines(expected));
    assert_eq!(stack.routes()[0].gates.len(), 2);
}

#[test]
fn a_wrong_order_is_refused_with_reason_and_remedy() {
    let stack = Stack::new()
        .layer(RetryLayer::fixed(Duration::ZERO))
        .layer(DeadLetterLayer::new("orders.dead", Sink::default()))
        .handler(async || ());
    let error = stack.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(text.contains("put retry inside dead letter"), "{text}");
}

#[test]
fn a_plain_chain_is_only_warned_about() {
    let chain = Stack::chain()
        .layer(RecoveryLayer::new())
        .layer(LogLayer::new())
        .layer(RetryLayer::fixed(Duration::ZERO))
        .handler(async || ());
    chain.check().unwrap();
}

#[test]
fn the_presets_are_in_order_and_say_what_they_do() {
    let text = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let standard = Stack::standard().handler(async || ());
    standard.check().unwrap();
    let explained = text(standard.explain());
    assert!(
        explained.contains("worst case per record: 152.3s"),
        "{explained}"
    );
    let whole = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", Sink::default()))
        .with_standard()
        .handler(async || ());
    whole.check().unwrap();
    let chain = Chain::new(RetryLayer::fixed(Duration::ZERO)).handler(async || ());
    chain.check().unwrap();
    let explained = text(chain.explain());
    assert!(
        explained.contains("warning: the recovery layer stands outside"),
        "{explained}"
    );
}

#[tokio::test]
async fn any_tower_layer_and_a_state_fit_in() {
    let stack = Stack::new()
        .named("billing")
        .tower_layer(Identity::new())
        .with_state(7u32)
        .handler(async |State(state): State<u32>| Outcome::skip(format!("{state}")));
    assert_eq!(&*stack.routes()[0].name, "billing");
    assert!(stack.explain().contains("Identity"), "{}", stack.explain());
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::skip("7"));
}
