//! Wrong handlers and wrong dead letter topics lose no record. Each is named, with what to do.

use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, Fault};
use milena_client::admin::NewTopic;
use milena_client::consumer::{Consumer, Pause};
use milena_client::core::{
    Backoff, ErrorClass, ErrorCode, ErrorMap, Headers, Offset, Outcome, ProcessError,
    ProducerRecord, Text,
};
use milena_client::middleware::{
    ClassifyLayer, DeadLetterLayer, RecoveryLayer, RetryLayer, Stack, TimeoutLayer,
};
use milena_test::{Kit, Sink, Trial};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// A consumer whose first record can only become a dead letter. `begun` is called before the record
/// is sent.
async fn stuck(kit: &Kit, begun: impl FnOnce()) -> (Arc<Consumer>, JoinHandle<()>) {
    let producer = kit.client().producer().max_block(2 * SECOND);
    let producer = producer.build().unwrap();
    let backoff = Backoff::new(SECOND, SECOND);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", producer).backoff(backoff))
        .handler(async |Text(order): Text| match order.as_str() {
            "broken" => Err(ProcessError::poison("no order")),
            _ => Ok(()),
        });
    let consumer = kit.client().consumer("billing").topics(["orders"]);
    let consumer = consumer.commit_interval(SECOND / 10).build().unwrap();
    let consumer = Arc::new(consumer);
    let runs = Arc::clone(&consumer);
    let running = tokio::spawn(async move {
        runs.run(stack).await.unwrap();
    });
    while consumer.assignment().is_empty() {
        sleep(SECOND / 10).await;
    }
    begun();
    kit.send("orders", "k", "broken").await.unwrap();
    kit.send("orders", "k", "fine").await.unwrap();
    (consumer, running)
}

/// Waits for a pause whose reason contains `why`, and returns it.
async fn held(consumer: &Consumer, why: &str) -> Pause {
    let found = async {
        loop {
            let pauses = consumer.pauses();
            if let Some(pause) = pauses.into_iter().find(|pause| pause.reason.contains(why)) {
                return pause;
            }
            sleep(SECOND / 10).await;
        }
    };
    let told = tokio::time::timeout(Kit::PATIENCE, found).await;
    told.unwrap_or_else(|_| panic!("{why}: {:?}", consumer.pauses()))
}

/// Checks that both records are done, the first as a dead letter.
async fn done(kit: &Kit, consumer: &Consumer, running: JoinHandle<()>) {
    kit.until_committed("billing", "orders", 2).await;
    let letters = kit.records("orders.dead").unwrap();
    assert_eq!(letters.len(), 1, "written once");
    assert_eq!(letters[0].value.as_deref(), Some(&b"broken"[..]));
    assert!(consumer.pauses().is_empty());
    consumer.shutdown_handle().shutdown();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_topic_that_is_missing_is_named_and_waited_for() {
    let kit = Kit::builder().topic("orders", 1).topic("orders.dead", 1);
    let kit = kit.start().await.unwrap();
    // The topic exists when the run begins, and is deleted afterwards.
    let delete = || assert!(kit.broker().inspect().delete_topic("orders.dead"));
    let (consumer, running) = stuck(&kit, delete).await;
    let pause = held(&consumer, "a dead letter cannot be written").await;
    assert_eq!(&*pause.by, "dead-letter:orders.dead");
    assert!(
        pause.reason.contains("a dead letter cannot be written"),
        "{pause:?}"
    );
    sleep(60 * SECOND).await;
    assert_eq!(
        kit.committed("billing", "orders"),
        0,
        "nothing is passed over"
    );
    let topic = NewTopic::new("orders.dead").partitions(1);
    let made = kit.client().admin().create_topics([topic]).await;
    made.unwrap().all().unwrap();
    done(&kit, &consumer, running).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_topic_that_is_refused_or_full_is_named_with_the_brokers_word() {
    for (code, word) in [
        (
            ErrorCode::TOPIC_AUTHORIZATION_FAILED,
            "TOPIC_AUTHORIZATION_FAILED",
        ),
        (ErrorCode::POLICY_VIOLATION, "POLICY_VIOLATION"),
    ] {
        let kit = Kit::builder().topic("orders", 1).topic("orders.dead", 1);
        let kit = kit.start().await.unwrap();
        let fault = Fault::error(code).on(ApiKey::Produce).topic("orders.dead");
        let fault = kit.broker().faults().add(fault.always());
        let (consumer, running) = stuck(&kit, || ()).await;
        let pause = held(&consumer, word).await;
        assert_eq!(&*pause.by, "dead-letter:orders.dead");
        assert!(pause.reason.contains("orders.dead"), "{pause:?}");
        sleep(60 * SECOND).await;
        assert_eq!(kit.committed("billing", "orders"), 0);
        fault.remove();
        done(&kit, &consumer, running).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_topic_whose_disk_is_full_is_tried_until_it_is_not() {
    let kit = Kit::builder().topic("orders", 1).topic("orders.dead", 1);
    let kit = kit.start().await.unwrap();
    let full = Fault::error(ErrorCode::KAFKA_STORAGE_ERROR).on(ApiKey::Produce);
    let full = kit
        .broker()
        .faults()
        .add(full.topic("orders.dead").always());
    let (consumer, running) = stuck(&kit, || ()).await;
    // The producer retries until its delivery timeout first.
    let pause = held(&consumer, "KAFKA_STORAGE_ERROR").await;
    assert_eq!(&*pause.by, "dead-letter:orders.dead");
    full.remove();
    done(&kit, &consumer, running).await;
}

/// An error of another crate.
#[derive(Debug)]
struct PaymentsDown;

impl std::fmt::Display for PaymentsDown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the payment service answered 503")
    }
}

impl std::error::Error for PaymentsDown {}

#[tokio::test(start_paused = true)]
async fn a_foreign_error_is_transient_with_a_bound_and_a_map_gives_it_another_class() {
    let order = || ProducerRecord::new("orders").value("stamps");
    let sink = Sink::new();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
        .layer(RetryLayer::fixed(SECOND).max_attempts(3))
        .handler(async || Err::<(), _>(PaymentsDown));
    let fed = Trial::new(stack).unwrap().feed(order()).await;
    assert!(matches!(fed.outcome(), Outcome::DeadLettered(_)), "{fed}");
    let letter = &sink.of("orders.dead")[0].record.headers;
    assert_eq!(letter.text("milena.attempts"), Some("3"));
    assert_eq!(letter.text("milena.cause.class"), Some("transient"));
    let message = letter.text("milena.cause.message").unwrap();
    assert!(message.contains("answered 503"), "{message}");

    let map = ErrorMap::new().class::<PaymentsDown>(ErrorClass::Business);
    let stack = Stack::new()
        .layer(RetryLayer::fixed(SECOND).max_attempts(3))
        .layer(ClassifyLayer::new(map))
        .handler(async || Err::<(), _>(PaymentsDown));
    let fed = Trial::new(stack).unwrap().feed(order()).await;
    assert_eq!(fed.class(), Some(ErrorClass::Business));
    assert_eq!(fed.took, Duration::ZERO, "tried once");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_returns_or_panics_ends_as_a_dead_letter_that_says_so() {
    let sink = Sink::new();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
        .layer(RetryLayer::fixed(SECOND).max_attempts(2))
        .layer(TimeoutLayer::new(5 * SECOND))
        .layer(RecoveryLayer::new())
        .handler(async |Text(order): Text| {
            assert!(order != "panic", "no such order");
            std::future::pending::<()>().await;
        });
    let trial = Trial::new(stack).unwrap();
    let order = |text: &'static str| ProducerRecord::new("orders").value(text);
    trial.feed_all([order("never"), order("panic")]).await;
    let letters = sink.of("orders.dead");
    let cause = |at: usize, name: &str| {
        let headers: &Headers = &letters[at].record.headers;
        headers.text(name).unwrap_or_default().to_owned()
    };
    assert_eq!(cause(0, "milena.cause.class"), "timeout");
    let message = cause(0, "milena.cause.message");
    assert!(message.contains("took longer than 5s"), "{message}");
    assert_eq!(cause(1, "milena.cause.class"), "panic");
    let message = cause(1, "milena.cause.message");
    assert!(message.contains("no such order"), "{message}");
    assert_eq!(trial.committable("orders", 0), Some(Offset::from(2)));
}
