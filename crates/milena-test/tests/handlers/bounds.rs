//! Retries are limited in one place, and no record pays for another one's failure.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use milena_client::core::{
    Attempt, Backoff, BatchError, BoxError, ErrorClass, Incoming, Offset, Outcome, ProcessError,
    ProducerRecord, Text,
};
use milena_client::middleware::batch::Batching;
use milena_client::middleware::{
    DeadLetterLayer, MetricsLayer, RecoveryLayer, RetryLayer, Stack, TimeoutLayer,
};
use milena_test::{Kit, Sink, Trial};
use parking_lot::Mutex;
use tokio::time::sleep;
use tower_service::Service;

const SECOND: Duration = Duration::from_secs(1);

/// A handler that always fails and records each attempt.
fn failing(seen: &Arc<Mutex<Vec<u32>>>) -> impl Fn(Attempt) -> Failing + Clone + use<> {
    let seen = Arc::clone(seen);
    move |Attempt(n)| {
        seen.lock().push(n);
        Box::pin(async { Err(ProcessError::transient("no")) })
    }
}

type Failing = Pin<Box<dyn Future<Output = Result<(), ProcessError>> + Send>>;

#[tokio::test(start_paused = true)]
async fn where_a_layer_retries_the_driver_does_not() {
    let once = RetryLayer::new(Backoff::default()).max_attempts(1);
    for (attempts, retry) in [(5, RetryLayer::new(Backoff::default())), (1, once)] {
        let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
        let seen = Arc::default();
        let stack = Stack::new().layer(retry).handler(failing(&seen));
        let running = kit.run("billing", ["orders"], stack).unwrap();
        kit.send("orders", "k", "v").await.unwrap();
        running.ended().await.unwrap_err();
        assert_eq!(*seen.lock(), (1..=attempts).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn the_standard_stack_makes_five_attempts_in_all() {
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let stack = Stack::standard().handler(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Outcome::retry("not yet") }
    });
    let running = kit.run("billing", ["orders"], stack).unwrap();
    kit.send("orders", "k", "v").await.unwrap();
    running.ended().await.unwrap_err();
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}

/// Returns the offsets of the records that became dead letters.
fn dead(kit: &Kit) -> Vec<String> {
    let letters = kit.records("orders.dead").unwrap();
    let offset = |letter: &milena_client::core::ConsumerRecord| {
        let text = letter.headers.text("milena.origin.offset");
        text.unwrap_or_default().to_owned()
    };
    letters.iter().map(offset).collect()
}

async fn forty_with_one_bad() -> Kit {
    let kit = Kit::builder().topic("orders", 1).topic("orders.dead", 1);
    let kit = kit.start().await.unwrap();
    for n in 0..40 {
        let value = if n == 23 {
            "bad".to_owned()
        } else {
            n.to_string()
        };
        kit.send("orders", "k", value).await.unwrap();
    }
    kit
}

#[tokio::test(start_paused = true)]
async fn an_error_for_a_batch_makes_a_letter_of_no_record_but_the_one_that_fails_alone() {
    for class in [
        ErrorClass::Business,
        ErrorClass::Poison,
        ErrorClass::Transient,
        ErrorClass::Timeout,
        ErrorClass::Panic,
    ] {
        for attempts in [1, 3] {
            let kit = forty_with_one_bad().await;
            let alone = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&alone);
            let handler = move |values: Vec<Text>| {
                let bad = values.iter().any(|value| value.0 == "bad");
                counted.fetch_add(usize::from(bad && values.len() == 1), Ordering::Relaxed);
                async move {
                    match class {
                        _ if !bad => Ok(()),
                        ErrorClass::Timeout => std::future::pending().await,
                        ErrorClass::Panic => panic!("on purpose"),
                        class => Err(ProcessError::new(class, "refused")),
                    }
                }
            };
            let stack = Stack::new()
                .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
                .layer(RetryLayer::new(Backoff::default()).max_attempts(attempts))
                .layer(TimeoutLayer::new(SECOND))
                .layer(RecoveryLayer::new())
                .batch(Batching::up_to(40), handler);
            let running = kit.run("store", ["orders"], stack).unwrap();
            kit.until_committed("store", "orders", 40).await;
            running.stop().await.unwrap();
            assert_eq!(dead(&kit), ["23"], "{class} with {attempts} attempts");
            let expected = if class.is_retriable() { attempts } else { 1 };
            assert_eq!(alone.load(Ordering::Relaxed), expected as usize, "{class}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_a_batch_does_not_have_loses_no_record() {
    let kit = Kit::builder().topic("orders", 1).topic("orders.dead", 1);
    let kit = kit.start().await.unwrap();
    for value in ["0", "1", "2"] {
        kit.send("orders", "k", value).await.unwrap();
    }
    // The index counts from 1, like line numbers.
    let handler = |values: Vec<Text>| async move {
        let line = values.iter().zip(1..).find(|(value, _)| value.0 == "2");
        match line {
            Some((_, line)) => Err(BatchError::failed_from(
                line,
                ProcessError::business("no such line"),
            )),
            None => Ok(()),
        }
    };
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .batch(Batching::up_to(3), handler);
    let running = kit.run("store", ["orders"], stack).unwrap();
    kit.until_committed("store", "orders", 3).await;
    running.stop().await.unwrap();
    let letters = kit.records("orders.dead").unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(&b"2"[..]));
    let message = letters[0].headers.text("milena.cause.message").unwrap();
    assert!(
        message.contains("record 1") && message.contains("a batch of 1"),
        "{message}"
    );
}

/// Delays the first record on its way to the layers inside.
#[derive(Clone)]
struct Uneven<S>(S);

impl<S> Service<Incoming> for Uneven<S>
where
    S: Service<Incoming, Response = Outcome, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Outcome;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let mut inner = self.0.clone();
        Box::pin(async move {
            if incoming.record.offset == Offset::from(0) {
                sleep(Duration::from_millis(50)).await;
            }
            inner.call(incoming).await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_whose_attempt_ends_first_is_not_tried_again_before_those_in_front_of_it() {
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    for value in ["0", "1", "2"] {
        kit.send("orders", "k", value).await.unwrap();
    }
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let handler = move |offsets: Vec<Offset>| {
        let offsets = offsets.iter().map(|offset| offset.to_wire());
        seen.lock().push(offsets.collect::<Vec<_>>());
        let hangs = seen.lock().len() == 1;
        async move {
            if hangs {
                std::future::pending::<()>().await;
            }
        }
    };
    let stack = Stack::new()
        .layer(RetryLayer::new(Backoff::default()))
        .tower_layer(tower_layer::layer_fn(Uneven))
        .layer(TimeoutLayer::new(SECOND))
        .batch(Batching::up_to(3), handler);
    let running = kit.run("store", ["orders"], stack).unwrap();
    kit.until_committed("store", "orders", 3).await;
    running.stop().await.unwrap();
    let calls = calls.lock();
    assert_eq!(calls[0], [0, 1, 2]);
    assert_eq!(calls[1..].concat(), [0, 1, 2], "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_shielded_attempt_says_late_keeps_its_class() {
    for class in [ErrorClass::Business, ErrorClass::Poison] {
        let (sink, calls) = (Sink::new(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&calls);
        let trial = Trial::new(
            Stack::new()
                .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
                .layer(RetryLayer::new(Backoff::default()).max_attempts(3))
                .layer(MetricsLayer::new())
                .layer(TimeoutLayer::new(SECOND).shielded(10 * SECOND))
                .handler(move || {
                    counted.fetch_add(1, Ordering::Relaxed);
                    async move {
                        sleep(2 * SECOND).await;
                        Err::<(), _>(ProcessError::new(class, "refused"))
                    }
                }),
        )
        .unwrap();
        trial.feed(ProducerRecord::new("orders").value("v")).await;
        assert_eq!(calls.load(Ordering::Relaxed), 1, "{class}");
        let letters = sink.of("orders.dead");
        let told = letters[0].record.headers.text("milena.cause.class");
        assert_eq!(told, Some(class.name()));
    }
}
