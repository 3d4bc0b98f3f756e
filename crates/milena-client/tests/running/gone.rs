//! Closing while no broker can be reached. It ends in time and says what became of each record.

use std::time::Duration;

use milena_broker::Broker;
use milena_core::{ErrorKind, Persistence, ProducerRecord, Text};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::{client, send};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_producer_without_brokers_closes_in_time_and_every_delivery_ends() {
    let broker = Broker::builder().brokers(3).topic("orders", 6);
    let broker = broker.start().await.unwrap();
    let client = client(&broker).await;
    let producer = client.producer().build().unwrap();
    let mut sent = Vec::new();
    for number in 0..10_000u32 {
        let record = ProducerRecord::new("orders").partition(number % 6);
        let record = record.value(number.to_string());
        sent.push(producer.enqueue(record).await.unwrap());
        if number == 5_000 {
            broker.shutdown().await;
        }
    }
    let began = Instant::now();
    let error = producer.close(2 * SECOND).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        began.elapsed() <= 2 * SECOND + SECOND / 5,
        "{:?}",
        began.elapsed()
    );
    let (mut written, mut doubtful, mut unwritten) = (0, 0, 0);
    for delivery in sent {
        // All have ended by now.
        let outcome = timeout(Duration::ZERO, delivery).await.unwrap();
        match outcome.map_err(|error| error.persistence()) {
            Ok(_) => written += 1,
            Err(Some(Persistence::PossiblyWritten)) => doubtful += 1,
            Err(Some(Persistence::NotWritten)) => unwritten += 1,
            Err(other) => panic!("it does not say whether it was written: {other:?}"),
        }
    }
    assert_eq!(written + doubtful + unwritten, 10_000);
    assert!(unwritten > 0, "{written} written, {doubtful} possibly");
    let inspect = broker.inspect();
    let there: i64 = (0..6).filter_map(|p| inspect.end_offset("orders", p)).sum();
    assert!(
        (written..=written + doubtful).contains(&there),
        "{there} in the logs"
    );
    let began = Instant::now();
    client.close().await;
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_consumer_without_brokers_ends_within_its_shutdown_timeout() {
    let broker = Broker::builder().brokers(3).topic("orders", 1);
    let broker = broker.start().await.unwrap();
    let client = client(&broker).await;
    send(&client, "two stamps").await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let consumer = client.consumer("billing").topics(["orders"]);
    let consumer = consumer.shutdown_timeout(4 * SECOND).build().unwrap();
    let running = consumer.spawn(move |Text(order): Text| {
        let _ = tell.send(order);
        sleep(60 * SECOND)
    });
    assert!(told.recv().await.is_some(), "the handler has it");
    broker.shutdown().await;
    sleep(SECOND).await;
    let began = Instant::now();
    // What the run returns tells of the record; here it only matters when.
    let _ = running.stop().await;
    assert!(
        began.elapsed() <= 4 * SECOND + SECOND / 2,
        "{:?}",
        began.elapsed()
    );
    let began = Instant::now();
    client.close().await;
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}
