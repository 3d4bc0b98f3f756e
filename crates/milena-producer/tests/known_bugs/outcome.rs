//! The outcome of a record agrees with the log, whatever failed on the way.

use std::time::Duration;

use milena_broker::{ApiKey, Broker, ErrorCode, Fault};
use milena_core::{ErrorKind, Persistence, ProducerRecord};
use milena_producer::Producer;

use crate::bed::{Bed, Ledger, bed, connect, in_batches, numbers, record, stamp};
use crate::stalling::Valve;

const SECOND: Duration = Duration::from_secs(1);

/// Returns a producer that gives up after 5 s, and after 2 s without an answer.
fn impatient(bed: &Bed) -> Producer {
    let builder = bed.builder().request_timeout(2 * SECOND);
    builder.delivery_timeout(5 * SECOND).build().unwrap()
}

/// The error codes that Kafka may answer although the leader has appended the batch. The wait was
/// too short, too few followers were left, the partition was moved or deleted meanwhile, or the
/// disk or something else failed.
const AFTER_THE_APPEND: [ErrorCode; 8] = [
    ErrorCode::REQUEST_TIMED_OUT,
    ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::UNKNOWN_TOPIC_ID,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::NETWORK_EXCEPTION,
    ErrorCode::UNKNOWN_SERVER_ERROR,
];

/// P1
#[tokio::test(start_paused = true)]
async fn a_record_after_one_given_up_with_its_fate_unknown_is_written() {
    for code in AFTER_THE_APPEND {
        for appended in [true, false] {
            let bed = bed(1).await;
            let producer = impatient(&bed);
            let mut ledger = Ledger::default();
            ledger.enqueue(&producer, record("warm")).await;
            producer.flush().await.unwrap();
            let faults = bed.broker.faults();
            faults.add(match appended {
                true => Fault::apply_then_error(code).on(ApiKey::Produce),
                false => Fault::error(code).on(ApiKey::Produce),
            });
            let never = Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS).on(ApiKey::Produce);
            let never = faults.add(never.nth(2).always());
            ledger.enqueue(&producer, record("a")).await;
            // A delivery that is dropped changes nothing.
            drop(producer.enqueue(record("b")).await.unwrap());
            producer.flush().await.unwrap();
            never.remove();
            ledger.enqueue(&producer, record("c")).await;
            ledger.enqueue(&producer, record("d")).await;
            let counts = ledger.hold(&bed).await;
            assert_eq!(counts.delivered, 3, "{code:?}, appended: {appended}");
            assert_eq!(counts.possibly_written, 1, "{code:?}, appended: {appended}");
        }
    }
}

/// P22
#[tokio::test(start_paused = true)]
async fn no_error_code_makes_a_later_record_be_acknowledged_without_being_written() {
    let known = |wire| ErrorCode::from_wire(wire);
    for code in (-1..140).filter_map(known) {
        for (times, apply) in [(1, false), (3, false), (1, true)] {
            if apply && !AFTER_THE_APPEND.contains(&code) {
                continue;
            }
            let bed = bed(1).await;
            let producer = impatient(&bed);
            let mut ledger = Ledger::default();
            ledger.enqueue(&producer, record("warm")).await;
            producer.flush().await.unwrap();
            let fault = match apply {
                true => Fault::apply_then_error(code),
                false => Fault::error(code),
            };
            let guard = bed
                .broker
                .faults()
                .guard(fault.on(ApiKey::Produce).times(times));
            for number in numbers(8) {
                ledger.enqueue(&producer, record(&number)).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            producer.flush().await.unwrap();
            ledger.enqueue(&producer, record("last")).await;
            let handle = guard.handle().clone();
            tokio::time::timeout(60 * SECOND, handle.wait_fired(times))
                .await
                .unwrap();
            let counts = ledger.hold(&bed).await;
            let refused = times as usize;
            assert!(counts.delivered + refused >= 10, "{code:?}: {counts:?}");
        }
    }
}

/// P20
#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_read_repeats_the_batch_and_does_not_cut_it() {
    let faults = (0..60).step_by(3).map(Fault::truncate);
    for fault in faults.chain([Fault::garbled(), Fault::wrong_correlation_id()]) {
        let bed = bed(1).await;
        let producer = bed.producer();
        producer.send(record("warm")).await.unwrap();
        let _guard = bed.broker.faults().guard(fault.on(ApiKey::Produce));
        let mut ledger = Ledger::default();
        for number in numbers(10) {
            ledger.enqueue(&producer, record(&number)).await;
        }
        assert_eq!(ledger.hold(&bed).await.delivered, 10);
        let sent: Vec<_> = bed.sent(0).iter().map(stamp).collect();
        assert_eq!(sent, [(0, 0, 1), (0, 1, 10), (0, 1, 10)]);
    }
}

/// P20. A leader may have written a batch and then no longer accept its size. The batch must not be
/// sent in parts then.
#[tokio::test(start_paused = true)]
async fn a_batch_in_doubt_that_became_too_large_is_not_written_again_in_parts() {
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record("warm")).await.unwrap();
    let guard = bed
        .broker
        .faults()
        .guard(Fault::apply_then_disconnect().on(ApiKey::Produce));
    let mut ledger = Ledger::default();
    for number in 0..40 {
        ledger
            .enqueue(&producer, record(&format!("{number:>50}")))
            .await;
    }
    guard.handle().wait_fired(1).await;
    bed.broker
        .inspect()
        .set_topic_config("orders", "max.message.bytes", "500")
        .unwrap();
    producer.flush().await.unwrap();
    ledger.enqueue(&producer, record("next")).await;
    let counts = ledger.hold(&bed).await;
    assert_eq!((counts.delivered, counts.possibly_written), (1, 40));
}

/// P27. The pool's own tests check the frames.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_written_in_part_is_not_followed_by_another_on_that_connection() {
    for cut in [0, 1, 3, 4, 20, 61, 200, 1000, 5000] {
        let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
        let valve = Valve::new();
        let dialer = valve.dialer(&broker);
        let bed = connect(broker, dialer, |cluster| {
            cluster
                .request_timeout(3 * SECOND)
                .connect_timeout(3 * SECOND)
        })
        .await;
        let builder = bed.builder().request_timeout(3 * SECOND);
        let producer = builder.delivery_timeout(60 * SECOND).build().unwrap();
        producer.send(record("warm")).await.unwrap();
        valve.close_after(cut);
        let mut ledger = Ledger::default();
        for number in 0..10 {
            let value = format!("{number}{}", "x".repeat(1000));
            ledger.enqueue(&producer, record(&value)).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(10 * SECOND).await;
        valve.open();
        assert_eq!(ledger.hold(&bed).await.delivered, 10, "cut at {cut}");
        assert_eq!(bed.values(0).len(), 11);
    }
}

/// P29
#[tokio::test(start_paused = true)]
async fn close_at_any_moment_delivers_what_was_accepted_and_refuses_the_rest() {
    for moment in 0..30 {
        let bed = bed(1).await;
        let producer = bed.producer();
        // The identity has not come yet when most of these close.
        let faults = bed.broker.faults();
        faults.add(Fault::delay_answer(Duration::from_millis(10)).on(ApiKey::InitProducerId));
        faults.add(Fault::disconnect().on(ApiKey::Produce).nth(2));
        let writing = tokio::spawn({
            let producer = producer.clone();
            async move {
                let mut ledger = Ledger::default();
                for number in numbers(60) {
                    let record = record(&number);
                    match producer.enqueue(record.clone()).await {
                        Ok(delivery) => ledger.note(&record, delivery),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Closed);
                            assert_eq!(error.persistence(), Some(Persistence::NotWritten));
                            break;
                        }
                    }
                    match number.len() {
                        1 => tokio::task::yield_now().await,
                        _ => tokio::time::sleep(Duration::from_micros(500)).await,
                    }
                }
                ledger
            }
        });
        tokio::time::sleep(Duration::from_millis(moment)).await;
        let (flushed, closed) = tokio::join!(producer.flush(), producer.close(30 * SECOND));
        closed.unwrap();
        drop(flushed);
        let counts = writing.await.unwrap().hold(&bed).await;
        assert_eq!(
            counts.delivered,
            bed.values(0).len(),
            "closed at {moment} ms"
        );
        assert_eq!((counts.not_written, counts.possibly_written), (0, 0));
    }
}

/// P29
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_accepted_while_another_thread_closes_is_delivered() {
    for round in 0..8 {
        let bed = bed(4).await;
        let producer = bed.producer();
        producer.send(record("warm")).await.unwrap();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let topic = producer.topic("orders");
                tokio::spawn(async move {
                    let mut accepted = Vec::new();
                    for number in 0..20_000 {
                        let value = format!("{writer}.{number}");
                        match topic.enqueue(None, Some(value.as_bytes())).await {
                            Ok(delivery) => accepted.push(delivery),
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Closed);
                                break;
                            }
                        }
                    }
                    let mut delivered = 0;
                    for delivery in accepted {
                        delivery.await.unwrap();
                        delivered += 1;
                    }
                    delivered
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_micros(round * 300)).await;
        producer.close(30 * SECOND).await.unwrap();
        let mut delivered = 1;
        for writer in writers {
            delivered += writer.await.unwrap();
        }
        let written: usize = (0..4).map(|partition| bed.values(partition).len()).sum();
        assert_eq!(written, delivered);
    }
}

/// P29
#[tokio::test(start_paused = true)]
async fn flush_and_close_end_while_no_identity_is_to_be_had() {
    let bed = bed(1).await;
    let fault = Fault::error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS).on(ApiKey::InitProducerId);
    bed.broker.faults().add(fault.always());
    let producer = impatient(&bed);
    let delivery = producer.enqueue(record("a")).await.unwrap();
    tokio::time::timeout(6 * SECOND, producer.flush())
        .await
        .unwrap()
        .unwrap();
    let error = delivery.await.unwrap_err();
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    let delivery = producer.enqueue(record("b")).await.unwrap();
    let error = producer.close(SECOND).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(delivery.await.unwrap_err().kind(), ErrorKind::Closed);
    assert!(bed.values(0).is_empty());
}

/// P30. `produce/outcomes.rs` checks that the error comes in time.
#[tokio::test(start_paused = true)]
async fn a_record_that_arrives_after_its_timeout_was_called_possibly_written() {
    let bed = bed(1).await;
    let producer = impatient(&bed);
    producer.send(record("warm")).await.unwrap();
    // The broker takes each attempt long after the client has given up on it and on its connection.
    let late = Fault::delay(20 * SECOND).on(ApiKey::Produce).times(3);
    bed.broker.faults().add(late);
    let mut ledger = Ledger::default();
    ledger.enqueue(&producer, record("late")).await;
    producer.flush().await.unwrap();
    assert!(!bed.values(0).contains(&"late".to_owned()));
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(bed.values(0), ["warm", "late"]);
    ledger.enqueue(&producer, record("next")).await;
    let counts = ledger.hold(&bed).await;
    assert_eq!((counts.possibly_written, counts.delivered), (1, 1));
}

/// P30, P1. A late batch must not be written between, or after, the records that were sent since.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_arrives_late_is_fenced_by_what_was_sent_since() {
    let bed = bed(1).await;
    let producer = impatient(&bed);
    producer.send(record("warm")).await.unwrap();
    let late = Fault::delay(20 * SECOND).on(ApiKey::Produce).times(3);
    bed.broker.faults().add(late);
    let given_up = in_batches(&producer, 3).await;
    producer.flush().await.unwrap();
    let sent = producer
        .send(ProducerRecord::new("orders").partition(0).value("next"))
        .await;
    assert_eq!(sent.unwrap().offset, Some(1.into()));
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(bed.values(0), ["warm", "next"]);
    for delivery in given_up {
        assert!(delivery.await.is_err());
    }
}
