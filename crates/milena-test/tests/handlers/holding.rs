//! A record, gate or letter blocks only its own records, and none does so unseen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use milena_client::core::{
    Backoff, BoxError, CancelToken, Event, Gate, Observer, Outcome, Partition, ProcessError,
    ProducerRecord, Stopping, Text, Value,
};
use milena_client::middleware::dead_letter::{Letter, Refused};
use milena_client::middleware::dedup::DedupStore;
use milena_client::middleware::{
    CircuitBreakerLayer, DeadLetterLayer, DedupLayer, RecoveryLayer, RetryLayer, Router, Stack,
    TimeoutLayer,
};
use milena_test::Kit;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A topic for dead letters that takes records of at most 500 bytes, and a topic of orders with two
/// partitions.
async fn narrow() -> Kit {
    let kit = Kit::builder().topic("orders", 2).topic("orders.dead", 2);
    let kit = kit.start().await.unwrap();
    kit.broker()
        .inspect()
        .set_topic_config("orders.dead", "max.message.bytes", "500")
        .unwrap();
    kit
}

async fn feed(kit: &Kit, partition: u32, value: impl Into<Bytes>) {
    let record = ProducerRecord::new("orders").key("k").value(value);
    kit.feed(record.partition(partition)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_its_topic_refuses_becomes_a_stub_and_holds_nothing_up() {
    let kit = narrow().await;
    let layer = DeadLetterLayer::new("orders.dead", kit.producer());
    let gate = layer.gate();
    let stack = Stack::new()
        .layer(layer)
        .handler(async |_: Value| Err::<(), _>(ProcessError::poison("no order")));
    let running = kit.run("billing", ["orders"], stack).unwrap();
    feed(&kit, 0, vec![b'x'; 1_000]).await;
    feed(&kit, 0, "small").await;
    feed(&kit, 1, "small").await;
    kit.until_committed("billing", "orders", 3).await;
    running.stop().await.unwrap();
    assert!(gate.is_open());
    let letters = kit.records("orders.dead").unwrap();
    let told = letters
        .iter()
        .map(|letter| Letter::read(&letter.headers).unwrap());
    let stubs: Vec<_> = told
        .filter_map(|letter| Some((letter.partition, letter.stub?)))
        .collect();
    assert_eq!((letters.len(), stubs.len()), (3, 1));
    assert_eq!(stubs[0].0, Some(Partition::from(0)));
    assert!(stubs[0].1.contains("1000 bytes"), "{}", stubs[0].1);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_its_topic_refuses_stops_its_lane_where_that_is_asked_for() {
    let kit = narrow().await;
    let layer = DeadLetterLayer::new("orders.dead", kit.producer()).on_refused(Refused::StopLane);
    let stack = Stack::new()
        .layer(layer)
        .handler(async |_: Value| Err::<(), _>(ProcessError::poison("no order")));
    let running = kit.run("billing", ["orders"], stack).unwrap();
    feed(&kit, 0, vec![b'x'; 1_000]).await;
    let error = running.ended().await.unwrap_err();
    assert!(error.to_string().contains("orders.dead"), "{error}");
    assert_eq!(kit.committed("billing", "orders"), 0);
}

#[tokio::test(start_paused = true)]
async fn one_record_whose_dependency_always_fails_does_not_hold_a_quiet_stream_for_ever() {
    let kit = Kit::builder().topic("orders", 1).topic("orders.dead", 1);
    let kit = kit.start().await.unwrap();
    let breaker = CircuitBreakerLayer::new("payments");
    let gate = breaker.breaker().gate().clone();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(RetryLayer::new(Backoff::default()).max_attempts(5))
        .layer(breaker)
        .layer(TimeoutLayer::new(5 * SECOND))
        .layer(RecoveryLayer::new())
        .handler(async |Text(value): Text| match value.as_str() {
            "bad" => Err(ProcessError::dependency(
                "payments",
                "500 Internal Server Error",
            )),
            _ => Ok(()),
        });
    let running = kit.run("billing", ["orders"], stack).unwrap();
    kit.send("orders", "k", "bad").await.unwrap();
    for _ in 0..10 {
        kit.send("orders", "k", "good").await.unwrap();
    }
    sleep(60 * SECOND).await;
    let told = Mutex::new(String::new());
    while told.lock().is_empty() {
        sleep(SECOND / 10).await;
        if !gate.is_open() {
            *told.lock() = format!("{:?}", gate.state());
        }
    }
    let told = told.into_inner();
    for part in [
        "orders-0 at 0",
        "times in a row",
        "500 Internal Server Error",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // The default limit is ten minutes of probes.
    kit.until_committed("billing", "orders", 11).await;
    sleep(SECOND).await;
    assert_eq!(kit.records("orders.dead").unwrap().len(), 1);
    assert!(kit.elapsed() < 700 * SECOND, "{:?}", kit.elapsed());
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_not_held_behind_a_closed_gate() {
    let kit = Kit::builder()
        .topic("a", 1)
        .topic("b", 1)
        .start()
        .await
        .unwrap();
    let breaker = CircuitBreakerLayer::new("payments").consecutive(1);
    let operator = Gate::new("operator");
    let down = Arc::new(AtomicBool::new(true));
    let known = Arc::clone(&down);
    let handler = move || {
        let down = known.load(Ordering::Relaxed);
        async move {
            match down {
                true => Err(ProcessError::dependency("payments", "refused")),
                false => Ok(()),
            }
        }
    };
    let a = Stack::new().layer(breaker.clone()).gate(operator.clone());
    let b = Stack::new().layer(breaker.clone());
    let router = Router::new()
        .layer(RetryLayer::new(Backoff::default()))
        .route("a", a.handler(handler.clone()))
        .route("b", b.handler(handler));
    let running = kit.run("billing", ["a", "b"], router).unwrap();
    kit.send("b", "k", "opens the breaker").await.unwrap();
    sleep(SECOND).await;
    assert!(!breaker.breaker().gate().is_open());
    // The lane of `a` waits for the probe first, and then for the operator.
    kit.send("a", "k", "waits").await.unwrap();
    sleep(SECOND).await;
    operator.close("the warehouse is moving");
    down.store(false, Ordering::Relaxed);
    kit.until_committed("billing", "b", 1).await;
    assert!(kit.elapsed() < 60 * SECOND, "{:?}", kit.elapsed());
    assert_eq!(kit.committed("billing", "a"), 0);
    operator.open();
    kit.until_committed("billing", "a", 1).await;
    running.stop().await.unwrap();
}

/// A store that answers only while it is up.
#[derive(Clone)]
struct Store(Arc<AtomicBool>);

impl DedupStore for Store {
    async fn contains(&self, _: &Bytes) -> Result<bool, BoxError> {
        match self.0.load(Ordering::Relaxed) {
            true => Ok(false),
            false => Err("the store is down".into()),
        }
    }

    async fn insert(&self, _: &Bytes) -> Result<(), BoxError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_layers_with_one_gates_name_the_open_one_resumes_nothing_of_the_other() {
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    let up = [false, false].map(|up| Arc::new(AtomicBool::new(up)));
    let by = |at: usize| {
        let store = Store(Arc::clone(&up[at]));
        DedupLayer::by(store, |record| {
            Some(record.offset.to_wire().to_string().into())
        })
    };
    let (first, second) = (by(0), by(1));
    let on =
        |kind: &'static str| milena_client::middleware::On::topic("orders").header("kind", kind);
    let router = Router::new()
        .route(
            on("a"),
            Stack::new().layer(first.clone()).handler(async || ()),
        )
        .route(
            on("b"),
            Stack::new().layer(second.clone()).handler(async || ()),
        );
    let consumer = kit
        .client()
        .consumer("billing")
        .topics(["orders"])
        .build()
        .unwrap();
    let consumer = Arc::new(consumer);
    let (runner, stop) = (Arc::clone(&consumer), consumer.shutdown_handle());
    let running = tokio::spawn(async move { runner.run(router).await });
    first.gate().close("its store is down");
    second.gate().close("its store is down");
    sleep(5 * SECOND).await;
    assert_eq!(consumer.pauses().len(), 2);
    second.gate().open();
    sleep(5 * SECOND).await;
    let pauses = consumer.pauses();
    assert_eq!(pauses.len(), 1, "the other one holds it still");
    first.gate().open();
    sleep(5 * SECOND).await;
    assert!(consumer.pauses().is_empty());
    stop.shutdown();
    running.await.unwrap().unwrap();
}

/// Counts reports of handlers that have a record for too long.
#[derive(Default)]
struct Stuck(AtomicUsize);

impl Observer for Stuck {
    fn on(&self, event: &Event<'_>) {
        if let Event::HandlerStuck { .. } = event {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_held_is_with_no_handler() {
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    let stuck = Arc::new(Stuck::default());
    let observer = Arc::clone(&stuck);
    let until = kit.now().plus(300 * SECOND);
    let held = AtomicBool::new(false);
    let held = Arc::new(held);
    let handler = move || {
        let first = !held.swap(true, Ordering::Relaxed);
        async move {
            match first {
                true => Outcome::Hold(until),
                false => Outcome::Ack,
            }
        }
    };
    let running = kit
        .run_with("billing", ["orders"], handler, move |consumer| {
            consumer
                .max_processing_time(60 * SECOND)
                .add_observer(observer)
        })
        .unwrap();
    for _ in 0..2 {
        kit.send("orders", "k", "v").await.unwrap();
    }
    kit.until_committed("billing", "orders", 2).await;
    assert_eq!(stuck.0.load(Ordering::Relaxed), 0);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hears_of_the_end_by_stopping_ends_before_the_time_to_drain_is_over() {
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    let handler = async |Stopping(stopping): Stopping, cancel: CancelToken| {
        tokio::select! {
            () = stopping.cancelled() => Outcome::retry("the consumer ends"),
            () = cancel.cancelled() => Outcome::Ack,
        }
    };
    let running = kit.run("billing", ["orders"], handler).unwrap();
    kit.send("orders", "k", "v").await.unwrap();
    sleep(10 * SECOND).await;
    let began = Instant::now();
    running.stop().await.unwrap();
    assert!(began.elapsed() < 5 * SECOND, "{:?}", began.elapsed());
    assert_eq!(kit.committed("billing", "orders"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_may_not_write_to_one_topic_does_not_end_the_consumer_of_all() {
    let kit = Kit::builder().topic("orders", 1).topic("orders.dead", 1);
    let kit = kit.start().await.unwrap();
    let closed = kit.client().producer().build().unwrap();
    closed.close(SECOND).await.unwrap();
    let handler = move || {
        let closed = closed.clone();
        async move {
            closed.send(ProducerRecord::new("bills").value("v")).await?;
            Ok::<_, ProcessError>(())
        }
    };
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .handler(handler);
    let running = kit.run("billing", ["orders"], stack).unwrap();
    kit.send("orders", "k", "v").await.unwrap();
    kit.until_committed("billing", "orders", 1).await;
    running.stop().await.unwrap();
    let letters = kit.records("orders.dead").unwrap();
    let class = letters[0].headers.text("milena.cause.class");
    assert_eq!(class, Some("transient"));
}
