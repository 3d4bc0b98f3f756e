//! A stream forwarded into the producer.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt, stream};
use milena_core::{ErrorKind, ProducerRecord};
use tokio::time::Instant;

use crate::bed::{bed, numbers, record};

#[tokio::test(start_paused = true)]
async fn a_stream_forwarded_into_the_sink_is_delivered_when_it_ends() {
    let bed = bed(1).await;
    let producer = bed.builder().buffer_memory(64 << 10).build().unwrap();
    // The values are more than the buffer holds, so the sink waits for room.
    let values = numbers(20_000);
    let records = stream::iter(values.clone()).map(|value| Ok(record(&value)));
    records.forward(producer.sink()).await.unwrap();
    assert_eq!(bed.values(0), values);
    producer
        .send(record("the producer lives on"))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn flushing_sends_what_lingers() {
    let bed = bed(1).await;
    let linger = Duration::from_secs(20);
    let producer = bed.builder().linger(linger).build().unwrap();
    let mut sink = producer.sink();
    let start = Instant::now();
    sink.feed(record("a")).await.unwrap();
    sink.flush().await.unwrap();
    sink.send(record("b")).await.unwrap();
    assert!(start.elapsed() < linger);
    assert_eq!(bed.values(0), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_is_told_and_the_sink_goes_on() {
    let bed = bed(1).await;
    let producer = bed.builder().max_request_size(2048).build().unwrap();
    let mut sink = producer.sink();
    sink.send(record("a")).await.unwrap();
    let error = sink.send(record(&"x".repeat(3000))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    let nowhere = ProducerRecord::new("not a name").value("v");
    let error = sink.send(nowhere).await.unwrap_err();
    assert!(error.to_string().contains("not a name"), "{error}");
    sink.send(record("b")).await.unwrap();
    sink.close().await.unwrap();
    assert_eq!(bed.values(0), ["a", "b"]);
}
