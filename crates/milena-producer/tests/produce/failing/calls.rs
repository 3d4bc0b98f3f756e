//! Records that cannot be taken are refused at the call, with a typed error. Nothing of them is
//! written, and the producer can still be used.

use std::time::Duration;

use bytes::Bytes;
use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_core::{Error, ErrorKind, Headers, Persistence, ProducerRecord};
use milena_producer::{Producer, TryEnqueueError};
use tokio::time::{Instant, timeout};

use crate::bed::{Bed, bed, record, record_at};

const SECOND: Duration = Duration::from_secs(1);

/// Checks that `record` is refused in each way of enqueueing it, and that the producer can still be
/// used.
async fn refused(bed: &Bed, producer: &Producer, record: ProducerRecord) -> Error {
    let before: usize = (0..2).map(|partition| bed.values(partition).len()).sum();
    let error = producer.enqueue(record.clone()).await.unwrap_err();
    assert_eq!(
        error.persistence(),
        Some(Persistence::NotWritten),
        "{error}"
    );
    match producer.try_enqueue(&record) {
        Err(TryEnqueueError::Refused(other)) => assert_eq!(other.kind(), error.kind()),
        other => panic!("{other:?}"),
    }
    let mixed = [record_at(0, "before"), record, record_at(0, "after")];
    let results = producer.send_all(mixed).await;
    assert_eq!(results[1].as_ref().unwrap_err().kind(), error.kind());
    assert!(results[0].is_ok() && results[2].is_ok(), "the others go on");
    producer.flush().await.unwrap();
    let after: usize = (0..2).map(|partition| bed.values(partition).len()).sum();
    assert_eq!(after, before + 2);
    assert_eq!(Bed::held(producer), 0);
    error
}

#[tokio::test(start_paused = true)]
async fn a_record_over_a_limit_names_the_limit() {
    let bed = bed(2).await;
    let value = "x".repeat(3000);
    let limited = bed.builder().max_request_size(2048).build().unwrap();
    limited.send(record("warm")).await.unwrap();
    let error = refused(&bed, &limited, record(&value)).await;
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    let text = error.to_string();
    assert!(
        text.contains("max.request.size = 2048") && text.contains("orders"),
        "{text}"
    );
    let small = bed.builder().buffer_memory(2048).build().unwrap();
    let error = refused(&bed, &small, record(&value)).await;
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    assert!(
        error.to_string().contains("buffer.memory = 2048"),
        "{error}"
    );
    // Headers and keys count as well.
    let headers = record("v").header("h", value.clone());
    assert_eq!(
        refused(&bed, &limited, headers).await.kind(),
        ErrorKind::RecordTooLarge
    );
    let key = record("v").key(value);
    assert_eq!(
        refused(&bed, &limited, key).await.kind(),
        ErrorKind::RecordTooLarge
    );
}

#[tokio::test(start_paused = true)]
async fn a_header_key_that_is_not_text_is_named() {
    let bed = bed(2).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let odd = record("v")
        .header("fine", "1")
        .header(&b"trace\xff"[..], "2");
    let error = refused(&bed, &producer, odd).await;
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.contains("trace\\xff") && text.contains("orders"),
        "{text}"
    );
    let fine = record("v").header("größe", &b"\xff\xfe"[..]);
    producer.send(fine).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_headers_of_a_consumed_record_go_on_as_they_came() {
    let bed = bed(1).await;
    let producer = bed.producer();
    // One header on the wire, which is key length 2, its two bytes, value length 1, and its byte.
    let headers = Headers::from_wire(Bytes::from_static(b"\x04\xff\xfe\x02v"), 1);
    producer.send(record("v").headers(headers)).await.unwrap();
    let stored = bed.broker.inspect().records("orders", 0).unwrap();
    let header = stored[0].headers.iter().next().unwrap();
    assert_eq!(header.key, b"\xff\xfe");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_does_not_exist_is_named_and_one_that_was_added_is_found() {
    let bed = bed(2).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let start = Instant::now();
    let error = refused(&bed, &producer, record_at(7, "v")).await;
    assert!(start.elapsed() < 5 * SECOND);
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.contains("partition 7") && text.contains("count is 2") && text.contains("orders"),
        "{text}"
    );
    bed.broker.inspect().add_partitions("orders", 8).unwrap();
    let sent = timeout(5 * SECOND, producer.send(record_at(7, "v"))).await;
    sent.unwrap().unwrap();
    assert_eq!(bed.values(7), ["v"]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_name_that_cannot_be_is_refused_at_once() {
    let bed = bed(1).await;
    let producer = bed.producer();
    let start = Instant::now();
    for name in ["", ".", "no spaces", "größe", &"x".repeat(250)] {
        let error = producer
            .send(ProducerRecord::new(name).value("v"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{name}");
        assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    }
    assert!(start.elapsed() < SECOND);
    producer.send(record("next")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_closed_producer_refuses_everything_at_once_and_by_its_name() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("a")).await.unwrap();
    let clone = producer.clone();
    let topic = producer.topic("orders");
    producer.close(SECOND).await.unwrap();
    let start = Instant::now();
    let other = ProducerRecord::new("never heard of").value("v");
    for record in [record("b"), record_at(9, "b"), other] {
        let error = clone.send(record).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    }
    assert_eq!(
        topic.send(None, Some(b"b")).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert!(matches!(
        topic.try_enqueue(None, Some(b"b")),
        Err(TryEnqueueError::Refused(error)) if error.kind() == ErrorKind::Closed
    ));
    assert_eq!(clone.flush().await.unwrap_err().kind(), ErrorKind::Closed);
    clone.close(SECOND).await.unwrap();
    assert!(start.elapsed() < SECOND);
    assert_eq!(bed.values(0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_may_not_be_written_is_told_at_once_and_others_go_on() {
    let bed = bed(1).await;
    bed.broker.inspect().create_topic("secret", 1).unwrap();
    let denied = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(ApiKey::Metadata);
    bed.broker.faults().add(denied.topic("secret").always());
    let producer = bed.producer();
    let start = Instant::now();
    let error = producer
        .send(ProducerRecord::new("secret").value("v"))
        .await
        .unwrap_err();
    assert!(start.elapsed() < SECOND);
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    assert!(
        error.is_fatal() && error.to_string().contains("secret"),
        "{error}"
    );
    producer.send(record("v")).await.unwrap();
    bed.broker.faults().clear();
    let sent = producer.send(ProducerRecord::new("secret").value("v"));
    timeout(10 * SECOND, sent).await.unwrap().unwrap();
}
