//! Routers, retry topics and dead letters, equally on the embedded broker and on a real Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use milena::dead_letters::LetterFilter;
use milena::middleware::batch::Batching;
use milena::middleware::{
    DeadLetterLayer, DelayedRetryLayer, EmitLayer, RetryLayer, RetryTopics, Router, Stack,
};
use milena::{Attempt, Emitter, Key, Offset, Order, ProcessError, ProducerRecord, Text, Topic};
use tokio::sync::mpsc;

use crate::cluster::{World, unique, within};

#[tokio::test]
async fn a_record_comes_back_by_its_retry_topic_when_it_is_due() {
    let world = World::new().await;
    let topic = world.topic(2).await;
    let producer = world.client.producer().build().unwrap();
    let retries = RetryTopics::new([Duration::from_millis(700)]);
    let topics = within(world.client.create_retry_topics(&retries, &topic))
        .await
        .unwrap();
    let (seen, mut records) = mpsc::channel(8);
    let began = std::time::Instant::now();
    let router = Router::new()
        .layer(DelayedRetryLayer::new(retries, producer.clone()))
        .layer(RetryLayer::fixed(Duration::from_millis(5)).max_attempts(2))
        .route(
            topic.as_str(),
            move |Topic(from): Topic, Attempt(attempt): Attempt, Text(text): Text| {
                let seen = seen.clone();
                async move {
                    if text == "late" && attempt < 3 {
                        return Err(ProcessError::transient("not yet"));
                    }
                    seen.send((text, attempt, from.to_string(), began.elapsed()))
                        .await
                        .unwrap();
                    Ok(())
                }
            },
        );
    for value in ["late", "fine"] {
        let record = ProducerRecord::new(&topic).key("k").value(value);
        within(producer.send(record)).await.unwrap();
    }
    let consumer = world
        .client
        .consumer(unique("group"))
        .topics(topics.clone())
        .build()
        .unwrap();
    let stop = consumer.shutdown_handle();
    let running = tokio::spawn(async move { consumer.run(router).await });
    let first = within(records.recv()).await.unwrap();
    assert_eq!(
        (first.0.as_str(), first.1),
        ("fine", 1),
        "nothing waits for what failed"
    );
    let second = within(records.recv()).await.unwrap();
    assert_eq!(
        (second.0.as_str(), second.1, second.2.as_str()),
        ("late", 3, topics[1].as_str())
    );
    assert!(second.3 >= Duration::from_millis(700));
    stop.shutdown();
    let report = within(running).await.unwrap().unwrap();
    assert_eq!((report.processed, report.forwarded), (2, 1));
}

#[tokio::test]
async fn dead_letters_are_counted_and_sent_back_to_where_they_came_from() {
    let world = World::new().await;
    let (topic, dead) = (world.topic(2).await, world.topic(1).await);
    let producer = world.client.producer().build().unwrap();
    let mended = Arc::new(AtomicBool::new(false));
    let (is_mended, (seen, mut done)) = (Arc::clone(&mended), mpsc::channel(32));
    let stack = Stack::new()
        .layer(DeadLetterLayer::new(&dead, producer.clone()))
        .handler(move |Key(key): Key<String>| {
            let (seen, ok) = (seen.clone(), is_mended.load(Ordering::SeqCst));
            async move {
                if !ok {
                    return Err(ProcessError::timeout("too slow"));
                }
                seen.send(key).await.unwrap();
                Ok(())
            }
        });
    for n in 0..10u32 {
        let record = ProducerRecord::new(&topic).key(n.to_string()).value("x");
        within(producer.send(record)).await.unwrap();
    }
    let running = world.run(&topic, &unique("group"), stack);
    assert_eq!(world.read(&dead, 10).await.len(), 10);
    let letters = world.client.dead_letters(&dead);
    let all = LetterFilter::new().origin(&topic);
    let summary = within(letters.summary(&all)).await.unwrap();
    assert_eq!(summary, [(topic.to_string(), "timeout".to_owned(), 10)]);

    mended.store(true, Ordering::SeqCst);
    let report = within(letters.replay(all).run()).await.unwrap();
    assert_eq!((report.replayed, report.failed.len()), (10, 0));
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(within(done.recv()).await.unwrap());
    }
    keys.sort();
    assert_eq!(keys, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_batch_handler_emits_and_every_record_is_done_once() {
    let world = World::new().await;
    let (topic, bills) = (world.topic(2).await, world.topic(1).await);
    let producer = world.client.producer().build().unwrap();
    let records = (0..200u32).map(|n| ProducerRecord::new(&topic).key(n.to_string()).value("x"));
    for result in within(producer.send_all(records)).await {
        result.unwrap();
    }
    let to = bills.clone();
    let stack = Stack::new()
        .layer(RetryLayer::fixed(Duration::from_millis(5)))
        .layer(EmitLayer::new(producer.clone()))
        .batch(
            Batching::up_to(64),
            move |all: Vec<(Offset, Key<String>, Emitter)>| {
                for (_, Key(key), out) in &all {
                    out.emit(ProducerRecord::new(&to).value(key.clone()));
                }
                async {}
            },
        );
    let consumer = world.client.consumer(unique("group")).topics([&topic]);
    let consumer = consumer.order(Order::Unordered(32)).build().unwrap();
    let stop = consumer.shutdown_handle();
    let running = tokio::spawn(async move { consumer.run(stack).await });
    let mut values: Vec<u32> = world
        .read(&bills, 200)
        .await
        .iter()
        .map(|record| {
            String::from_utf8_lossy(record.value.as_deref().unwrap())
                .parse()
                .unwrap()
        })
        .collect();
    values.sort_unstable();
    assert_eq!(values, (0..200).collect::<Vec<_>>());
    stop.shutdown();
    within(running).await.unwrap().unwrap();
}
