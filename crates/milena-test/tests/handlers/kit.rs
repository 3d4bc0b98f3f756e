//! The kit, used like in a user's tests.

use std::time::Duration;

use milena_client::core::{
    Attempt, Backoff, ErrorClass, Outcome, ProcessError, ProducerRecord, Text,
};
use milena_client::middleware::{DeadLetterLayer, RetryLayer, Stack, TimeoutLayer};
use milena_test::{Kit, process};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_handler_and_its_layers_are_tested_without_a_broker() {
    let minute = Duration::from_secs(60);
    let stack = Stack::new()
        .layer(RetryLayer::new(Backoff::new(minute, minute).jitter(0.0)))
        .layer(TimeoutLayer::new(minute))
        .handler(async |Attempt(attempt): Attempt| {
            if attempt < 3 {
                Err(ProcessError::transient("busy"))
            } else {
                Ok(Outcome::Ack)
            }
        });
    let began = Instant::now();
    let record = milena_client::core::ConsumerRecord::new("orders", 0, 0);
    assert_eq!(process(&stack, record.clone()).await.unwrap(), Outcome::Ack);
    assert_eq!(began.elapsed(), 2 * minute);

    let wrong = Stack::new()
        .layer(TimeoutLayer::new(minute))
        .layer(RetryLayer::new(Backoff::default()))
        .handler(async || ());
    assert_eq!(
        process(&wrong, record).await.unwrap_err().class(),
        ErrorClass::Fatal
    );
}

#[tokio::test(start_paused = true)]
async fn a_program_is_tested_on_a_broker_with_its_commits_and_dead_letters() {
    let kit = Kit::builder()
        .topic("orders", 2)
        .topic("orders.dead", 1)
        .start()
        .await
        .unwrap();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .handler(async |Text(order): Text| match order.as_str() {
            "bad" => Err(ProcessError::poison("no order")),
            _ => Ok(()),
        });
    let running = kit.run("billing", ["orders"], stack).unwrap();
    for (n, value) in ["good", "bad", "good"].iter().enumerate() {
        kit.send("orders", format!("key-{n}"), *value)
            .await
            .unwrap();
    }
    kit.until_committed("billing", "orders", 3).await;
    let letters = kit.read("orders.dead", 1).await.unwrap();
    assert_eq!(
        letters[0].headers.text("milena.cause.message"),
        Some("no order")
    );
    let report = running.stop().await.unwrap();
    assert_eq!((report.processed, report.dead_lettered), (2, 1));
    kit.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_held_for_an_hour_is_processed_an_hour_later_and_costs_no_time() {
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    let began = kit.now();
    let hour = Duration::from_secs(3_600);
    let due = began.plus(hour);
    let clock = {
        let start = Instant::now();
        move || start.elapsed()
    };
    let running = kit
        .run("billing", ["orders"], move |_: Text| {
            let waited = clock();
            async move {
                if waited < hour {
                    Outcome::Hold(due)
                } else {
                    Outcome::Ack
                }
            }
        })
        .unwrap();
    kit.send("orders", "k", "v").await.unwrap();
    while kit.committed("billing", "orders") == 0 {
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert!(kit.now().since(began) >= hour);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_nothing_that_was_not_committed() {
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    let slow = async |_: Text| tokio::time::sleep(Duration::from_secs(5)).await;
    let running = kit.run("billing", ["orders"], slow).unwrap();
    kit.send("orders", "k", "v").await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    running.crash();
    assert_eq!(kit.committed("billing", "orders"), 0);
    let running = kit.run("billing", ["orders"], async |_: Text| ()).unwrap();
    kit.until_committed("billing", "orders", 1).await;
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_became_of_each_record_is_told_with_its_time() {
    let kit = Kit::builder().topic("orders", 2).start().await.unwrap();
    let wait = Duration::from_secs(300);
    let stack = Stack::new()
        .layer(RetryLayer::new(Backoff::new(wait, wait).jitter(0.0)))
        .handler(async |Attempt(attempt): Attempt| {
            if attempt == 1 {
                Err(ProcessError::transient("busy"))
            } else {
                Ok(Outcome::Ack)
            }
        });
    let lanes = |consumer: milena_client::consumer::ConsumerBuilder| {
        consumer.order(milena_client::consumer::Order::Unordered(4))
    };
    let running = kit.run_with("billing", ["orders"], stack, lanes).unwrap();
    let mut sent = Vec::new();
    for n in 0..4u32 {
        let record = ProducerRecord::new("orders")
            .partition(n % 2)
            .value("stamps");
        sent.push(kit.feed(record).await.unwrap());
    }
    for metadata in &sent {
        let processed = running.until_settled(metadata).await;
        assert_eq!((processed.outcome(), processed.took), (&Outcome::Ack, wait));
    }
    assert_eq!(running.until_processed(4).await.len(), 4);
    assert!(kit.elapsed() >= wait && kit.elapsed() < wait + Duration::from_secs(60));
    kit.until_committed("billing", "orders", 4).await;
    assert_eq!(kit.committed_at("billing", "orders", 1), Some(2.into()));
    assert_eq!(kit.records("orders").unwrap().len(), 4);
    running.stop().await.unwrap();
    kit.close().await;
}

#[tokio::test(start_paused = true)]
async fn texts_and_bytes_are_sent_as_they_come_to_hand() {
    let kit = Kit::builder().topic("orders", 1).start().await.unwrap();
    let (topic, key, value) = ("orders".to_owned(), "k".to_owned(), format!("order-{}", 1));
    kit.send(&topic, &key, &value).await.unwrap();
    kit.send(topic.as_str(), key.as_str(), value.as_str())
        .await
        .unwrap();
    kit.send(topic, key, vec![b'3']).await.unwrap();
    kit.send("orders", b"k", bytes::Bytes::from_static(b"4"))
        .await
        .unwrap();
    let records = kit.records("orders").unwrap();
    let text = |bytes: &Option<bytes::Bytes>| {
        let bytes = bytes.as_ref().unwrap().to_vec();
        String::from_utf8(bytes).unwrap()
    };
    let values: Vec<_> = records.iter().map(|record| text(&record.value)).collect();
    assert_eq!(values, [value.as_str(), "order-1", "3", "4"]);
    assert!(records.iter().all(|record| text(&record.key) == "k"));
    let servers = kit.broker().bootstrap_servers();
    assert_eq!(
        servers.split(',').collect::<Vec<_>>(),
        kit.broker().bootstrap()
    );
    kit.close().await;
}
