//! Each accepted record ends in exactly one outcome, which says what is known of the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_core::{ErrorKind, Event, Gauge, Gauges, Persistence, ProducerRecord};
use milena_producer::{Acks, Compression};
use tokio::time::Instant;
use tower_service::Service;

use crate::bed::{bed, record};

#[tokio::test(start_paused = true)]
async fn a_sent_record_comes_with_its_offset_key_headers_and_time() {
    let bed = bed(3).await;
    let producer = bed.producer();
    let record = ProducerRecord::new("orders")
        .key("order-1")
        .value("v")
        .header("source", "web");
    let metadata = producer.send(record).await.unwrap();
    assert_eq!(metadata.offset, Some(0.into()));
    let written = bed
        .broker
        .inspect()
        .records("orders", metadata.partition.to_wire().unsigned_abs());
    let written = written.unwrap().remove(0);
    assert_eq!(written.key.as_deref(), Some(&b"order-1"[..]));
    assert_eq!(written.headers.text("source"), Some("web"));
    assert!(written.timestamp.is_some());
}

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_records() {
    let bed = bed(4).await;
    let producer = bed.producer();
    let records = (0..100u32).map(|n| {
        ProducerRecord::new("orders")
            .partition(n % 4)
            .value(n.to_string())
    });
    let results = producer.send_all(records).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(bed.values(1)[..3], ["1", "5", "9"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_ends_in_a_timeout_that_admits_the_doubt() {
    let bed = bed(1).await;
    let producer = bed
        .builder()
        .request_timeout(Duration::from_secs(3))
        .delivery_timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    producer.send(record("warm")).await.unwrap();
    bed.broker
        .faults()
        .add(Fault::silence().on(ApiKey::Produce).always());
    let start = Instant::now();
    let error = producer.send(record("lost")).await.unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
    bed.broker.faults().clear();
    producer.send(record("next")).await.unwrap();
    assert_eq!(bed.values(0), ["warm", "next"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_written_and_those_behind_it_are() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    bed.broker
        .faults()
        .add(Fault::error(ErrorCode::POLICY_VIOLATION).on(ApiKey::Produce));
    let error = producer.send(record("refused")).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::POLICY_VIOLATION));
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    producer.send(record("next")).await.unwrap();
    assert_eq!(bed.values(0), ["warm", "next"]);
}

#[tokio::test(start_paused = true)]
async fn a_code_that_says_nothing_of_the_log_leaves_the_doubt() {
    for code in [9999, 120, 48, 55, -1] {
        let (bed, code) = (bed(1).await, ErrorCode::from_wire(code).unwrap());
        let fault = Fault::apply_then_error(code).on(ApiKey::Produce);
        bed.broker.faults().add(fault.always());
        let error = bed.producer().send(record("v")).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
        assert_eq!(bed.values(0), ["v"], "{code}: it is in the log");
    }
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_acknowledgement_and_codec_arrives() {
    let bed = bed(1).await;
    let value = "abc".repeat(1000);
    for acks in [Acks::All, Acks::Leader] {
        for compression in [
            Compression::None,
            Compression::GZIP,
            Compression::Snappy,
            Compression::LZ4,
            Compression::ZSTD,
        ] {
            let producer = bed
                .builder()
                .acks(acks)
                .compression(compression)
                .build()
                .unwrap();
            let sends = (0..20).map(|_| record(&value));
            assert!(producer.send_all(sends).await.iter().all(Result::is_ok));
            producer.close(Duration::from_secs(5)).await.unwrap();
        }
    }
    let values = bed.values(0);
    assert!(values.len() == 200 && values.iter().all(|one| *one == value));
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgements_no_offset_is_known() {
    let bed = bed(1).await;
    let producer = bed.builder().acks(Acks::None).build().unwrap();
    let metadata = producer.send(record("a")).await.unwrap();
    assert_eq!(metadata.offset, None);
    producer.flush().await.unwrap();
    bed.broker
        .journal()
        .wait_for(|entry| entry.api() == ApiKey::Produce)
        .await;
}

#[tokio::test(start_paused = true)]
async fn close_sends_what_is_there_and_refuses_what_comes() {
    let bed = bed(1).await;
    let producer = bed
        .builder()
        .linger(Duration::from_secs(20))
        .build()
        .unwrap();
    let delivery = producer.enqueue(record("a")).await.unwrap();
    producer.close(Duration::from_secs(5)).await.unwrap();
    assert!(delivery.outcome().is_some_and(|outcome| outcome.is_ok()));
    assert_eq!(
        producer.send(record("b")).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert_eq!(bed.values(0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn observers_hear_of_each_batch_and_the_buffer_is_shown() {
    let bed = bed(1).await;
    let heard: Arc<[AtomicU32; 2]> = Arc::default();
    let counts = heard.clone();
    let observer = move |event: &Event<'_>| match event {
        Event::BatchDelivered { records, .. } => {
            counts[0].fetch_add(*records, Ordering::Relaxed);
        }
        Event::BatchRetried { .. } => {
            counts[1].fetch_add(1, Ordering::Relaxed);
        }
        _ => {}
    };
    let producer = bed
        .builder()
        .add_observer(Arc::new(observer))
        .build()
        .unwrap();
    bed.broker
        .faults()
        .add(Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS).on(ApiKey::Produce));
    let delivery = producer.enqueue(record("a")).await.unwrap();
    let mut held = 0;
    producer.read(&mut |gauge| {
        if let Gauge::BufferUsed { used, .. } = gauge {
            held = used;
        }
    });
    assert!(held > 0);
    delivery.await.unwrap();
    assert_eq!(
        (
            heard[0].load(Ordering::Relaxed),
            heard[1].load(Ordering::Relaxed)
        ),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_a_tower_service() {
    let bed = bed(1).await;
    let mut producer = bed.producer();
    std::future::poll_fn(|cx| producer.poll_ready(cx))
        .await
        .unwrap();
    let metadata = producer.call(record("a")).await.unwrap();
    assert_eq!(metadata.offset, Some(0.into()));
}
