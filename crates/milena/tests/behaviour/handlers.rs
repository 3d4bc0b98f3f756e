//! Records go through a stack of layers to a handler, and each ends as intended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena::middleware::{DeadLetterLayer, RecoveryLayer, RetryLayer, Stack, TimeoutLayer};
use milena::{Attempt, Backoff, Json, Outcome, ProcessError, ProducerRecord, Text};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::cluster::{World, unique, within};

#[derive(Deserialize)]
struct Order {
    id: u32,
}

fn quick() -> RetryLayer {
    RetryLayer::new(Backoff::new(
        Duration::from_millis(5),
        Duration::from_millis(20),
    ))
}

#[tokio::test]
async fn a_value_that_is_not_json_becomes_a_dead_letter_with_its_cause() {
    let world = World::new().await;
    let (topic, letters) = (world.topic(1).await, world.topic(1).await);
    let producer = world.client.producer().build().unwrap();
    let bad = ProducerRecord::new(&topic)
        .key("k")
        .value("{\"id\": tw")
        .header("trace", "7");
    for record in [
        bad.clone(),
        ProducerRecord::new(&topic).value("{\"id\": 2}"),
    ] {
        within(producer.send(record)).await.unwrap();
    }
    let (seen, mut orders) = mpsc::channel(8);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new(&letters, producer.clone()))
        .layer(quick())
        .handler(move |Json(order): Json<Order>| {
            let seen = seen.clone();
            async move {
                seen.send(order.id).await.unwrap();
            }
        });
    let running = world.run(&topic, &unique("group"), stack);
    assert_eq!(within(orders.recv()).await, Some(2));
    running.stop().await.unwrap();

    let letter = world.read(&letters, 1).await.remove(0);
    assert_eq!(
        (letter.key.as_deref(), letter.value.as_deref()),
        (Some(&b"k"[..]), bad.record.value.as_deref())
    );
    assert_eq!(letter.headers.text("trace"), Some("7"));
    assert_eq!(
        letter.headers.text("milena.origin.topic"),
        Some(topic.as_str())
    );
    assert_eq!(letter.headers.text("milena.cause.class"), Some("poison"));
}

#[tokio::test]
async fn a_transient_failure_is_retried_until_it_passes() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    let producer = world.client.producer().build().unwrap();
    within(producer.send(ProducerRecord::new(&topic).value("x")))
        .await
        .unwrap();
    let (seen, mut attempts) = mpsc::channel(8);
    let stack = Stack::new()
        .layer(quick())
        .handler(move |Attempt(attempt): Attempt| {
            let seen = seen.clone();
            async move {
                seen.send(attempt).await.unwrap();
                if attempt < 3 {
                    Err(ProcessError::transient("not yet"))
                } else {
                    Ok(Outcome::Ack)
                }
            }
        });
    let running = world.run(&topic, &unique("group"), stack);
    for attempt in 1..=3 {
        assert_eq!(within(attempts.recv()).await, Some(attempt));
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_handler_that_panics_loses_no_record() {
    let world = World::new().await;
    let topic = world.topic(1).await;
    let producer = world.client.producer().build().unwrap();
    for value in ["one", "two", "three"] {
        within(producer.send(ProducerRecord::new(&topic).value(value)))
            .await
            .unwrap();
    }
    let (seen, mut values) = mpsc::channel(8);
    let stack = Stack::new()
        .layer(quick())
        .layer(TimeoutLayer::new(Duration::from_secs(5)))
        .layer(RecoveryLayer::new())
        .handler(move |Attempt(attempt): Attempt, Text(text): Text| {
            let seen = seen.clone();
            async move {
                assert!(
                    text != "two" || attempt > 1,
                    "panics on its first attempt, by design"
                );
                seen.send(text).await.unwrap();
            }
        });
    let running = world.run(&topic, &unique("group"), stack);
    for value in ["one", "two", "three"] {
        assert_eq!(within(values.recv()).await.as_deref(), Some(value));
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_is_not_read_again_and_the_rest_is() {
    let world = World::new().await;
    let (topic, group) = (world.topic(1).await, unique("group"));
    let producer = world.client.producer().build().unwrap();
    for n in 0..10u32 {
        within(producer.send(ProducerRecord::new(&topic).value(n.to_string())))
            .await
            .unwrap();
    }
    let (seen, mut values) = mpsc::channel(64);
    let handler = |stop_at: u32| {
        let seen = seen.clone();
        move |Text(text): Text| {
            let seen = seen.clone();
            async move {
                if text == stop_at.to_string() {
                    return Outcome::stop("enough");
                }
                seen.send(text).await.unwrap();
                Outcome::Ack
            }
        }
    };
    let consumer = world
        .client
        .consumer(group.as_str())
        .topics([&topic])
        .build()
        .unwrap();
    let _ = within(consumer.run(handler(4))).await;
    let running = world.run(&topic, &group, handler(99));
    for n in 0..10u32 {
        assert_eq!(
            within(values.recv()).await,
            Some(n.to_string()),
            "each once, in order"
        );
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_plain_function_is_a_handler_too() {
    let world = World::new().await;
    let topic = world.topic(2).await;
    let count = Arc::new(AtomicU32::new(0));
    let counted = count.clone();
    let (done, mut finished) = mpsc::channel(1);
    let running = world.run(&topic, &unique("group"), move |_: Text| {
        let (counted, done) = (counted.clone(), done.clone());
        async move {
            if counted.fetch_add(1, Ordering::Relaxed) == 99 {
                done.send(()).await.unwrap();
            }
        }
    });
    let producer = world.client.producer().build().unwrap();
    let records = (0..100u32).map(|n| ProducerRecord::new(&topic).value(n.to_string()));
    for result in within(producer.send_all(records)).await {
        result.unwrap();
    }
    within(finished.recv()).await.unwrap();
    running.stop().await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 100);
}
