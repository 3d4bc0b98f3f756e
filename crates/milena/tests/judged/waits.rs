//! Records that wait for their time, for a slow handler, or for a program that does not ask for
//! them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena::health::State;
use milena::middleware::{
    DeadLetterLayer, DelayedRetryLayer, MetricsLayer, RetryLayer, RetryTopics, Router, Stack,
};
use milena::{Attempt, Backoff, ProcessError, Text};
use tokio::time::sleep;

use crate::bed::{Bed, Log, secs};

/// A record that fails at first and is retried after five minutes through a retry topic.
async fn held(bed: &Bed) {
    let retries = RetryTopics::new([secs(300)]);
    let topics = bed.client.create_retry_topics(&retries, "orders").await;
    let tries = Arc::new(AtomicU32::new(0));
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", bed.kit.producer()))
        .layer(DelayedRetryLayer::new(retries, bed.kit.producer()))
        .layer(RetryLayer::new(Backoff::default()).max_attempts(1))
        .layer(MetricsLayer::new())
        .handler(move |_: Text| {
            let first = tries.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                if first {
                    Err(ProcessError::transient("not yet"))
                } else {
                    Ok(())
                }
            }
        });
    let consumer = bed.client.consumer("billing").topics(topics.unwrap());
    let consumer = consumer.build().unwrap();
    let router = Router::new().route("orders", stack);
    tokio::spawn(async move { consumer.run(router).await });
    bed.kit.send("orders", "k", "v").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_in_a_tier_of_retry_topics_is_well_and_its_time_is_told() {
    let log = Log::new();
    let bed = Bed::new(&[("orders", 1), ("dead", 1)]).await;
    held(&bed).await;
    sleep(secs(120)).await;
    let report = bed.health.report();
    assert_eq!(report.state, State::Ok, "{report:?}");
    let reason = bed.reason("progress");
    assert!(
        reason.contains("orders.retry.5m-0@0 is due in 3 min"),
        "{reason}"
    );
    let oldest = "milena_consumer_oldest_unsettled_seconds{";
    assert_eq!(bed.sum(&[oldest]), 0.0);
    let left = bed.sum(&["milena_consumer_held_seconds{"]);
    assert!((170.0..=181.0).contains(&left), "{left}");
    sleep(secs(200)).await;
    let report = bed.health.report();
    assert_eq!(report.state, State::Ok, "{report:?}");

    // The time of a record is that of its handler, and being held is no attempt.
    let sum = bed.sum(&["milena_process_record_seconds_sum{"]);
    assert!(sum < 1.0, "{sum}");
    let attempts = bed.sum(&["milena_process_attempt_seconds_count{"]);
    assert_eq!(attempts, 2.0);
    assert_eq!(bed.sum(&["milena_process_record_seconds_count{"]), 2.0);
    let all = log.all();
    let blamed = all.iter().find(|line| line.contains("handler has"));
    assert_eq!(blamed, None, "{all:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_ten_minutes_is_alive_and_ready_whoever_looks_when() {
    for looks in [true, false] {
        let bed = Bed::new(&[("orders", 1)]).await;
        let consumer = bed.client.consumer("billing").topics(["orders"]);
        let consumer = consumer.build().unwrap();
        let handler = async |_: Text| sleep(secs(600)).await;
        let _running = tokio::spawn(async move { consumer.run(handler).await });
        for _ in 0..10 {
            bed.kit.send("orders", "k", "v").await.unwrap();
        }
        for _ in 0..118 {
            sleep(secs(5)).await;
            if looks {
                let report = bed.health.report();
                assert!(report.live && report.ready, "{report:?}");
            }
        }
        let report = bed.health.report();
        assert!(report.live && report.ready, "{report:?}");
        assert_eq!(bed.state("progress"), Some(State::Degraded));
        let reason = bed.reason("progress");
        assert!(
            reason.starts_with("orders-0 of billing: record 0 is with the handler of route")
                && reason.ends_with("for 9 min, 10 records behind"),
            "{reason}"
        );
        let oldest = bed.sum(&["milena_consumer_oldest_unsettled_seconds{"]);
        assert!(oldest > 580.0, "{oldest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_not_late_when_the_next_one_comes_after_a_long_time() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let handler = async |_: Text| sleep(secs(50)).await;
    let _running = tokio::spawn(async move { consumer.run(handler).await });
    for _ in 0..3 {
        bed.kit.send("orders", "k", "v").await.unwrap();
        for _ in 0..700 {
            sleep(Duration::from_millis(100)).await;
            assert_eq!(bed.health.report().state, State::Ok);
        }
        sleep(secs(400)).await;
        assert_eq!(bed.health.report().state, State::Ok);
    }
}

#[tokio::test(start_paused = true)]
async fn records_for_which_a_program_does_not_ask_are_told_and_no_reason_to_restart() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    for _ in 0..10 {
        bed.kit.send("orders", "k", "v").await.unwrap();
    }
    consumer.recv().await.unwrap();
    sleep(secs(900)).await;
    let report = bed.health.report();
    assert!(report.live && report.ready, "{report:?}");
    assert_eq!(bed.state("progress"), Some(State::Degraded), "{report:?}");
    let reason = bed.reason("progress");
    assert!(reason.contains("the program does not ask"), "{reason}");
    for _ in 0..9 {
        consumer.recv().await.unwrap();
    }
    // The consumer has made progress since.
    assert_eq!(
        bed.state("progress"),
        Some(State::Ok),
        "{}",
        bed.reason("progress")
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_within_the_standard_stack_are_counted_one_by_one() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let stack = Stack::standard().handler(async |Attempt(attempt): Attempt, _: Text| {
        if attempt < 4 {
            Err(ProcessError::transient("not yet"))
        } else {
            Ok(())
        }
    });
    let _running = tokio::spawn(async move { consumer.run(stack).await });
    bed.kit.send("orders", "k", "v").await.unwrap();
    bed.kit.until_committed("billing", "orders", 1).await;
    let attempts = |outcome: &str| {
        let outcome = format!("outcome=\"{outcome}\"");
        bed.sum(&["milena_process_attempt_seconds_count{", &outcome])
    };
    assert_eq!([attempts("transient"), attempts("ack")], [3.0, 1.0]);
    assert_eq!(bed.sum(&["milena_process_retries_total{"]), 3.0);
    let time = bed.sum(&["milena_process_attempt_seconds_sum{"]);
    assert!(time < 0.01, "backoffs are no part of attempts: {time}");
}
