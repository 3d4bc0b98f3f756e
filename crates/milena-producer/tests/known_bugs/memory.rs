//! Memory that is returned exactly once, waits that end, and partitions that are all served.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_broker::{ApiKey, Broker, ErrorCode, Fault};
use milena_core::{ErrorKind, Persistence, ProducerRecord};
use milena_producer::Producer;
use tokio::time::timeout;

use crate::bed::{Bed, Ledger, bed, bed_with, connect, record, record_at};
use crate::stalling::Valve;

const SECOND: Duration = Duration::from_secs(1);

/// P14. Batches share their buffer with the connection until it has written them.
#[tokio::test(start_paused = true)]
async fn a_batch_that_expired_on_a_slow_socket_is_not_overwritten_by_another_topics_records() {
    let builder = Broker::builder().topic("orders", 1).topic("canary", 1);
    let broker = builder.start().await.unwrap();
    let valve = Valve::new();
    let dialer = valve.dialer(&broker);
    let bed = connect(broker, dialer, |cluster| cluster).await;
    let producer = bed
        .builder()
        .request_timeout(30 * SECOND)
        .delivery_timeout(31 * SECOND)
        .buffer_memory(300_000)
        .batch_size(100_000)
        .build()
        .unwrap();
    producer.send(record("orders warm")).await.unwrap();
    let mut ledger = Ledger::default();
    let mut send = async |topic: &'static str, round: i32| {
        for number in 0..20 {
            let value = format!("{topic} {round}.{number} {}", topic.repeat(500));
            let record = ProducerRecord::new(topic).partition(0).value(value);
            ledger.enqueue(&producer, record).await;
        }
    };
    for round in 0..3 {
        // Some bytes of the first request leave at once, and the rest long after the records were
        // given up.
        valve.close_after(5000);
        send("orders", round).await;
        tokio::time::sleep(40 * SECOND).await;
        valve.open();
        send("canary", round).await;
        producer.flush().await.unwrap();
    }
    let counts = ledger.hold(&bed).await;
    assert!(
        counts.delivered >= 60 && counts.possibly_written > 0,
        "{counts:?}"
    );
    for topic in ["orders", "canary"] {
        let values = bed.values_of(topic, 0);
        assert!(values.iter().all(|value| value.starts_with(topic)));
    }
}

/// P15
#[tokio::test(start_paused = true)]
async fn the_memory_of_a_batch_that_expired_and_was_answered_later_comes_back_once() {
    let bed = bed(1).await;
    let producer = bed
        .builder()
        .request_timeout(3 * SECOND)
        .delivery_timeout(10 * SECOND)
        .buffer_memory(64 << 10)
        .build()
        .unwrap();
    producer.send(record("warm")).await.unwrap();
    for late in [Duration::from_millis(200), SECOND, 5 * SECOND] {
        let faults = bed.broker.faults();
        faults.add(Fault::silence().on(ApiKey::Produce).times(3));
        faults.add(Fault::delay_answer(late).on(ApiKey::Produce).nth(4));
        let delivery = producer.enqueue(record("a")).await.unwrap();
        assert!(Bed::held(&producer) > 0);
        let _ = delivery.await;
        tokio::time::sleep(20 * SECOND).await;
        faults.clear();
        assert_eq!(Bed::held(&producer), 0);
        // If the memory had been returned twice, more than the whole would be free now.
        let all: Vec<_> = (0..60).map(|_| record(&"x".repeat(4000))).collect();
        assert!(producer.send_all(all).await.iter().all(Result::is_ok));
        assert_eq!(Bed::held(&producer), 0);
    }
}

/// P23
#[tokio::test(start_paused = true)]
async fn the_ends_of_each_setting_send_records_without_a_key() {
    for batch_size in [0, 1, 100, 1024] {
        for (memory, request) in [(1024, 1024), (2000, 1024), (1 << 20, 8 << 20)] {
            for linger in [Duration::ZERO, Duration::from_millis(1), SECOND] {
                let bed = bed(3).await;
                let builder = bed.builder().batch_size(batch_size).linger(linger);
                let builder = builder.buffer_memory(memory).max_request_size(request);
                let producer = builder.max_in_flight(1).build().unwrap();
                let topic = producer.topic("orders");
                let sending = async {
                    let mut all = Vec::new();
                    for _ in 0..20 {
                        all.push(topic.enqueue(None, Some(&[b'x'; 300])).await.unwrap());
                    }
                    for delivery in all {
                        delivery.await.unwrap();
                    }
                };
                let what = format!("{batch_size}, {memory}, {request}, {linger:?}");
                timeout(100 * SECOND, sending).await.expect(&what);
            }
        }
    }
}

/// Returns a producer whose buffer holds one record of 500 bytes.
fn tiny(bed: &Bed) -> Producer {
    bed.builder().buffer_memory(1024).build().unwrap()
}

/// P24
#[tokio::test(start_paused = true)]
async fn a_buffer_of_one_record_survives_callers_that_leave_are_refused_or_linger() {
    let bed = bed(2).await;
    let producer = tiny(&bed);
    let value = "x".repeat(500);
    producer.send(record("warm")).await.unwrap();
    let faults = bed.broker.faults();
    let slow = faults.add(Fault::delay_answer(SECOND).on(ApiKey::Produce).always());
    let mut waiting = Vec::new();
    for number in 0..30u32 {
        let (producer, value) = (producer.clone(), format!("{number}{value}"));
        waiting.push(tokio::spawn(async move {
            match number % 3 {
                // This caller stops waiting.
                0 => drop(timeout(SECOND / 2, producer.send(record_at(0, value))).await),
                // This record is refused at once, even while others wait.
                1 => {
                    let error = producer.send(record(&value.repeat(4))).await.unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
                }
                _ => drop(producer.send(record_at(1, value)).await.unwrap()),
            }
        }));
    }
    for task in waiting {
        timeout(100 * SECOND, task).await.unwrap().unwrap();
    }
    slow.remove();
    timeout(SECOND, producer.send(record("last")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bed.values(1).len(), 10);
    assert_eq!(Bed::held(&producer), 0);
}

/// P24
#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_memory_overrides_a_long_linger() {
    let bed = bed(2).await;
    let builder = bed.builder().linger(50 * SECOND).buffer_memory(1024);
    let producer = builder.build().unwrap();
    let mut ledger = Ledger::default();
    for number in 0..10u32 {
        // The batch that lingers is that of the other partition, and this record does not fill it.
        let record = record_at(number % 2, format!("{number}{}", "x".repeat(600)));
        let enqueued = ledger.enqueue(&producer, record);
        timeout(SECOND, enqueued).await.unwrap();
    }
    producer.flush().await.unwrap();
    assert_eq!(ledger.hold(&bed).await.delivered, 10);
}

/// P26. A batch has one outcome, which its deliveries read. `produce/callbacks.rs` checks the limit
/// of callbacks that have not been called.
#[tokio::test(start_paused = true)]
async fn records_that_fail_faster_than_anyone_looks_hold_no_memory() {
    let bed = bed(1).await;
    let producer = bed.builder().buffer_memory(64 << 10).build().unwrap();
    let refused = Fault::error(ErrorCode::POLICY_VIOLATION).on(ApiKey::Produce);
    bed.broker.faults().add(refused.always());
    let topic = producer.topic("orders");
    let mut deliveries = Vec::new();
    for _ in 0..20_000 {
        deliveries.push(topic.enqueue(None, Some(&[b'x'; 100])).await.unwrap());
    }
    producer.flush().await.unwrap();
    assert_eq!(Bed::held(&producer), 0);
    for delivery in deliveries {
        let error = delivery.await.unwrap_err();
        assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    }
}

/// P28
#[tokio::test(start_paused = true)]
async fn five_hundred_partitions_take_turns_where_a_request_holds_few() {
    const PARTITIONS: u32 = 500;
    let bed = bed_with(PARTITIONS, |broker| broker.brokers(1).journal(20_000)).await;
    let builder = bed.builder().max_request_size(8000).batch_size(1100);
    let producer = builder.build().unwrap();
    producer.send(record("warm")).await.unwrap();
    bed.broker.journal().clear();
    let slow = Fault::delay(SECOND).on(ApiKey::Produce);
    bed.broker.faults().add(slow);
    let mut ledger = Ledger::default();
    for round in 0..3 {
        for partition in 0..PARTITIONS {
            let value = format!("{partition}.{round}{}", "x".repeat(1000));
            ledger.enqueue(&producer, record_at(partition, value)).await;
        }
    }
    assert_eq!(ledger.hold(&bed).await.delivered, 3 * PARTITIONS as usize);
    let requests = bed.broker.journal().requests(ApiKey::Produce);
    let turns: Vec<_> = requests
        .iter()
        .flat_map(|entry| entry.batches())
        .map(|(place, _)| place.partition)
        .collect();
    // No partition has a second turn before each has had its first.
    let first: BTreeSet<_> = turns.iter().take(PARTITIONS as usize).collect();
    assert_eq!(first.len(), PARTITIONS as usize);
}
