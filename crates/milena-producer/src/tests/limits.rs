//! The producer's limits and its end, over a cluster in memory. The clock is paused.

use std::time::Duration;

use milena_core::{Compression, ErrorCode, ErrorKind, Persistence, ProducerRecord};
use tokio::time::Instant;

use crate::tests::sending::{numbers, outcomes, producer, record};
use crate::tests::stub::{Act, Stub};
use crate::{Acks, TryEnqueueError};

#[tokio::test(start_paused = true)]
async fn a_batch_that_the_broker_finds_too_large_is_sent_in_parts() {
    let stub = Stub::new(1);
    stub.state.lock().max_batch = 400;
    let producer = producer(&stub, |_| ());
    let mut all = Vec::new();
    for number in 0..100 {
        all.push(producer.enqueue(record(number)).await.unwrap());
    }
    assert_eq!(outcomes(all).await, (0..100).map(Some).collect::<Vec<_>>());
    assert_eq!(stub.values(0), numbers(100));
    let error = producer.send(record("x".repeat(500))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    producer.send(record("after")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_over_the_request_size_is_refused_with_both_sizes() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |draft| draft.max_request_size = 2048);
    let error = producer.send(record("x".repeat(3000))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RecordTooLarge);
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    let text = error.to_string();
    assert!(
        text.contains("max.request.size = 2048") && text.contains("orders"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_topic_is_named_and_one_that_appears_is_used() {
    let stub = Stub::new(1);
    stub.state.lock().known_from = Some(Instant::now() + Duration::from_secs(10));
    let producer = producer(&stub, |_| ());
    assert!(matches!(
        producer.try_enqueue(&record("a")),
        Err(TryEnqueueError::NotReady)
    ));
    producer.send(record("a")).await.unwrap();
    let record = ProducerRecord::new("nowhere").value("v");
    let error = producer.send(record).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    assert!(error.to_string().contains("nowhere"));
    assert_eq!(producer.partitions_for("orders").await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_makes_callers_wait_and_then_go_on() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |draft| {
        draft.buffer_memory = 32 << 10;
        draft.batching.bytes = Some(16 << 10);
        draft.batching.interval = Some(Duration::from_secs(20));
    });
    let mut all = Vec::new();
    for number in 0..10_000 {
        all.push(producer.enqueue(record(number)).await.unwrap());
    }
    let count = outcomes(all).await.len();
    assert_eq!(count, 10_000);
    assert_eq!(stub.values(0), numbers(10_000));
    assert_eq!(producer.buffer_used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_has_what_lingers_leave_though_nobody_waits() {
    let stub = Stub::new(4);
    let linger = Duration::from_secs(20);
    let producer = producer(&stub, |draft| {
        draft.buffer_memory = 64 << 10;
        draft.batching.bytes = Some(16 << 10);
        draft.batching.interval = Some(linger);
    });
    producer.partitions_for("orders").await.unwrap();
    let start = Instant::now();
    let record = |number: u32| {
        ProducerRecord::new("orders")
            .partition(number % 4)
            .value("v")
    };
    for number in 0..4 {
        drop(producer.try_enqueue(&record(number)).unwrap());
    }
    let large = || record(0).value("x".repeat(16_000));
    while let Err(error) = producer.try_enqueue(&large()) {
        assert!(matches!(error, TryEnqueueError::Full), "{error}");
        assert!(start.elapsed() < linger / 2, "it lingers");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_buffer_that_stays_full_ends_in_a_timeout_that_names_the_setting() {
    let stub = Stub::new(1);
    stub.state.lock().down.push(1);
    let producer = producer(&stub, |draft| {
        draft.buffer_memory = 1024;
        draft.max_block = Duration::from_secs(5);
    });
    let _first = producer.enqueue(record("x".repeat(300))).await.unwrap();
    let big = || record("x".repeat(800));
    assert!(matches!(
        producer.try_enqueue(&big()),
        Err(TryEnqueueError::Full)
    ));
    let error = producer.enqueue(big()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        error.to_string().contains("buffer.memory = 1024"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_enqueue_that_is_dropped_while_it_waits_was_not_enqueued() {
    let stub = Stub::new(1);
    stub.state.lock().down.push(1);
    let producer = producer(&stub, |draft| draft.buffer_memory = 1024);
    drop(producer.enqueue(record("never polled")));
    let kept = producer.enqueue(record("k".repeat(300))).await.unwrap();
    let waiting = producer.enqueue(record("x".repeat(800)));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), waiting)
            .await
            .is_err()
    );
    stub.state.lock().down.clear();
    kept.await.unwrap();
    producer.flush().await.unwrap();
    assert_eq!(stub.values(0), ["k".repeat(300)]);
}

#[tokio::test(start_paused = true)]
async fn a_linger_is_kept_and_flush_overrides_it() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |draft| {
        draft.batching.interval = Some(Duration::from_secs(5));
    });
    let start = Instant::now();
    producer.send(record("a")).await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 5);
    let delivery = producer.enqueue(record("b")).await.unwrap();
    producer.flush().await.unwrap();
    assert!(delivery.outcome().is_some());
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn close_sends_what_is_there_and_refuses_more() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |draft| {
        draft.batching.interval = Some(Duration::from_secs(60));
    });
    let delivery = producer.enqueue(record("a")).await.unwrap();
    producer.close(Duration::from_secs(10)).await.unwrap();
    assert!(delivery.outcome().is_some_and(|outcome| outcome.is_ok()));
    let error = producer.send(record("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    producer.close(Duration::ZERO).await.unwrap();
    assert_eq!(
        producer.flush().await.unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[tokio::test(start_paused = true)]
async fn a_close_that_times_out_gives_the_rest_up_with_what_is_known_of_them() {
    let stub = Stub::new(2);
    let producer = producer(&stub, |_| ());
    producer.send(record("warm")).await.unwrap();
    stub.lead(1, None);
    stub.script([Act::Swallow]);
    let sent = producer.enqueue(record("sent")).await.unwrap();
    let unsent = ProducerRecord::new("orders").partition(1).value("unsent");
    let unsent = producer.enqueue(unsent).await.unwrap();
    let error = producer.close(Duration::from_secs(3)).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("1 records were not written and 1 possibly"),
        "{error}"
    );
    let sent = sent.await.unwrap_err();
    assert_eq!(
        (sent.kind(), sent.persistence()),
        (ErrorKind::Closed, Some(Persistence::PossiblyWritten))
    );
    let unsent = unsent.await.unwrap_err();
    assert_eq!(unsent.persistence(), Some(Persistence::NotWritten));
}

#[tokio::test(start_paused = true)]
async fn what_was_enqueued_is_sent_after_the_last_handle_is_dropped() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |draft| {
        draft.batching.interval = Some(Duration::from_secs(60));
    });
    let delivery = producer.enqueue(record("a")).await.unwrap();
    drop(producer);
    delivery.await.unwrap();
}

#[test]
fn a_runtime_that_ends_leaves_no_delivery_without_an_outcome() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (producer, delivery) = runtime.block_on(async {
        let stub = Stub::new(1);
        stub.state.lock().down.push(1);
        let producer = producer(&stub, |_| ());
        let delivery = producer.enqueue(record("a")).await.unwrap();
        (producer, delivery)
    });
    drop(runtime);
    let error = delivery.outcome().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(producer.try_enqueue(&record("b")).is_err());
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgements_the_offset_is_unknown_and_a_lost_record_is_in_doubt() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |draft| draft.acks = Some(Acks::None));
    assert_eq!(producer.send(record("a")).await.unwrap().offset, None);
    stub.script([Act::Cut]);
    let error = producer.send(record("b")).await.unwrap_err();
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
    producer.send(record("c")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn compressed_batches_keep_their_order() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |draft| draft.compression = Compression::Lz4(1));
    let mut all = Vec::new();
    for number in 0..20_000 {
        all.push(producer.enqueue(record(number)).await.unwrap());
        if number % 5000 == 0 {
            producer.flush_without_waiting().await;
        }
    }
    let count = outcomes(all).await.len();
    assert_eq!(count, 20_000);
    assert_eq!(stub.values(0), numbers(20_000));
}

#[tokio::test(start_paused = true)]
async fn each_of_many_callers_records_ends_exactly_once() {
    let stub = Stub::new(4);
    let producer = producer(&stub, |draft| draft.buffer_memory = 64 << 10);
    let acts = [
        Act::Cut,
        Act::Serve,
        Act::ServeThenCut,
        Act::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS),
        Act::Serve,
    ];
    stub.script(acts.into_iter().cycle().take(200));
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let topic = producer.topic("orders");
            tokio::spawn(async move {
                let mut deliveries = Vec::new();
                for number in 0..200 {
                    let value = format!("{task}-{number}");
                    let key = task.to_string();
                    let enqueued = topic.enqueue(Some(key.as_bytes()), Some(value.as_bytes()));
                    deliveries.push(enqueued.await.unwrap());
                    if number % 20 == 0 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                for delivery in deliveries {
                    delivery.await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for value in (0..4).flat_map(|partition| stub.values(partition)) {
        let (task, number) = value.split_once('-').unwrap();
        let next = seen.entry(task.to_owned()).or_default();
        assert_eq!(
            number.parse::<usize>().unwrap(),
            *next,
            "order of task {task}"
        );
        *next += 1;
    }
    assert!(seen.len() == 20 && seen.values().all(|count| *count == 200));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_no_further_request_costs_no_attempt() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |draft| draft.retries = 1);
    producer.send(record("warm")).await.unwrap();
    stub.script([Act::NotTaken; 10]);
    let sent = producer.send(record("a")).await.unwrap();
    assert_eq!(sent.offset, Some(1.into()));
    stub.script([Act::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS); 2]);
    let error = producer.send(record("b")).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NOT_ENOUGH_REPLICAS));
    producer.send(record("c")).await.unwrap();
    assert_eq!(stub.values(0), ["warm", "a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_panics_fails_what_it_holds_and_the_producer_says_so() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    producer.send(record("warm")).await.unwrap();
    stub.script([Act::Swallow, Act::Panic]);
    let flying = producer.enqueue(record("flies")).await.unwrap();
    producer.flush_without_waiting().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    let sent = producer.enqueue(ProducerRecord::new("orders").partition(0).value("x"));
    let sent = sent.await.unwrap();
    // One batch is in flight at a time, since the identity is new. The second one's request is sent
    // once the first one has timed out.
    for delivery in [flying, sent] {
        let error = delivery.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
    assert!(start.elapsed() < Duration::from_secs(40));
    let error = producer.send(record("later")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    assert_eq!(
        producer.flush().await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    producer.close(Duration::from_secs(5)).await.unwrap();
}
