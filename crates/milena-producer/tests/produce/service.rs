//! The producer as a tower service.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use milena_broker::{ApiKey, Fault};
use milena_core::ProducerRecord;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use crate::bed::{Bed, bed, record};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_readiness_that_is_given_up_keeps_nothing_from_others() {
    let bed = bed(2).await;
    let (memory, linger) = (64 << 10, 5 * SECOND);
    let builder = bed.builder().buffer_memory(memory).batch_size(16 << 10);
    let producer = builder.linger(linger).build().unwrap();
    producer.partitions_for("orders").await.unwrap();
    let silence = bed
        .broker
        .faults()
        .add(Fault::silence().on(ApiKey::InitProducerId).always());
    let mut all = Vec::new();
    // Four batches take all of the memory.
    for _ in 0..4 {
        let record = record(&"x".repeat(15 << 10));
        all.push(producer.enqueue(record).await.unwrap());
    }
    let mut service = producer.clone();
    let ready = poll_fn(|cx| service.poll_ready(cx));
    assert!(timeout(SECOND, ready).await.is_err(), "nothing is free");
    silence.remove();
    for delivery in all {
        delivery.await.unwrap();
    }
    assert_eq!(Bed::held(&producer), 0);
    // No caller waits for memory, so the next record lingers.
    let start = Instant::now();
    producer.send(record("lingers")).await.unwrap();
    assert!(start.elapsed() >= linger, "{:?}", start.elapsed());
    poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_readiness_has_open_batches_leave() {
    let bed = bed(4).await;
    let builder = bed.builder().buffer_memory(64 << 10).batch_size(16 << 10);
    let producer = builder.linger(20 * SECOND).build().unwrap();
    for partition in 0..4 {
        let record = ProducerRecord::new("orders").partition(partition);
        drop(producer.enqueue(record.value("v")).await.unwrap());
    }
    let mut service = producer.clone();
    let ready = poll_fn(|cx| service.poll_ready(cx));
    timeout(SECOND, ready).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn records_are_in_the_order_of_the_calls_however_they_are_awaited() {
    for known in [true, false] {
        let bed = bed(1).await;
        let mut producer = bed.producer();
        if known {
            producer.partitions_for("orders").await.unwrap();
        }
        let mut calls = Vec::new();
        for value in ["a", "b", "c"] {
            poll_fn(|cx| producer.poll_ready(cx)).await.unwrap();
            calls.push(producer.call(record(value)));
        }
        for call in calls.into_iter().rev() {
            call.await.unwrap();
        }
        assert_eq!(bed.values(0), ["a", "b", "c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_while_it_waits_was_not_enqueued() {
    let bed = bed(1).await;
    let mut producer = bed.producer();
    poll_fn(|cx| producer.poll_ready(cx)).await.unwrap();
    let mut dropped = producer.call(record("dropped"));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(dropped.as_mut().poll(&mut cx), Poll::Pending));
    drop(dropped);
    producer.call(record("kept")).await.unwrap();
    assert_eq!(bed.values(0), ["kept"]);
}
