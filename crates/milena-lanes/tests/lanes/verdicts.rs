//! Results of records whose handlers do not simply succeed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena_core::{
    Attempt, ErrorKind, LaneStopPolicy, Offset, Order, Outcome, ProcessError, ProducerRecord,
    StuckPolicy, Text, Timestamp, TopicPartition,
};
use milena_lanes::{InMemory, RunEnd, run};
use tokio::time::{Instant, sleep};

use crate::bed::{Notes, observed, orders, rules};

fn at(partition: u32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_is_tried_again_in_place_up_to_the_bound_and_then_stops_its_lane() {
    let notes = Notes::default();
    let source = orders(
        observed(rules(Order::Partition), &notes),
        ["good", "bad", "behind"],
    );
    let began = Instant::now();
    let writer = notes.clone();
    let handler = move |Text(text): Text, Attempt(attempt): Attempt| {
        writer.add(format!("{text} {attempt}"));
        async move {
            match text.as_str() {
                "bad" => Err("no luck"),
                _ => Ok(()),
            }
        }
    };
    let error = run(&source, handler).await.unwrap_err();
    assert!(
        error.to_string().contains("gave up after 5 attempts"),
        "{error}"
    );
    assert_eq!(error.place().offset, Some(1_u32.into()));
    assert_eq!(began.elapsed(), Duration::from_millis(400));
    assert_eq!(source.committable(&at(0)), Some(1_u32.into()));
    let notes = notes.all();
    let calls = ["good 1", "bad 1", "bad 2", "bad 3", "bad 4", "bad 5"];
    assert_eq!(notes[..6], calls);
    assert!(notes[6].starts_with("stopped in handler: "), "{notes:?}");
    assert_eq!(notes.len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_retry_may_name_its_own_wait() {
    let source = orders(rules(Order::Partition), ["one"]);
    let began = Instant::now();
    let handler = |Attempt(attempt): Attempt| async move {
        match attempt {
            1 => Outcome::retry_after(Duration::from_secs(7), "busy"),
            _ => Outcome::Ack,
        }
    };
    assert_eq!(run(&source, handler).await.unwrap().processed, 1);
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_held_record_waits_until_its_time_without_using_up_an_attempt() {
    let notes = Notes::default();
    let mut rules = observed(rules(Order::Partition), &notes);
    rules.max_attempts = 1;
    let (clock, source) = (Arc::clone(&rules.clock), orders(rules, ["one"]));
    let began = Instant::now();
    let writer = notes.clone();
    let due = Timestamp::from_millis(60_000);
    let handler = move |Attempt(attempt): Attempt| {
        writer.add(format!("attempt {attempt}"));
        let early = clock() < due;
        async move {
            if early {
                Outcome::Hold(due)
            } else {
                Outcome::Ack
            }
        }
    };
    assert_eq!(run(&source, handler).await.unwrap().processed, 1);
    assert_eq!(began.elapsed().as_secs(), 60);
    let expected = [
        "attempt 1",
        "paused by hold: the handler holds its record for 60s",
        "resumed",
        "attempt 1",
    ];
    assert_eq!(notes.all(), expected);
}

#[tokio::test(start_paused = true)]
async fn skips_and_acks_are_counted_apart() {
    let source = orders(rules(Order::Partition), ["old", "new", "old"]);
    let handler = |Text(text): Text| async move {
        match text.as_str() {
            "old" => Outcome::skip("old"),
            _ => Outcome::Ack,
        }
    };
    let report = run(&source, handler).await.unwrap();
    assert_eq!((report.processed, report.skipped), (1, 2));
    assert_eq!((report.late, report.end), (0, RunEnd::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_stops_ends_the_run_with_its_reason_and_its_record_unsettled() {
    let source = orders(rules(Order::Partition), ["one", "last", "never"]);
    let handler = |Text(text): Text| async move {
        match text.as_str() {
            "last" => Outcome::stop("enough"),
            _ => Outcome::Ack,
        }
    };
    let report = run(&source, handler).await.unwrap();
    assert_eq!(report.end, RunEnd::Stopped("enough".into()));
    assert_eq!(report.processed, 1);
    assert_eq!(source.committable(&at(0)), Some(1_u32.into()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_handler_is_an_error_of_its_record_and_the_next_gets_a_new_service() {
    let source = orders(rules(Order::Partition), ["bad", "good"]);
    let handler = |Text(text): Text, Attempt(attempt): Attempt| async move {
        assert!(text != "bad" || attempt == 3, "out of paper");
    };
    assert_eq!(run(&source, handler).await.unwrap().processed, 2);
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_fails_the_run_at_once() {
    let source = orders(rules(Order::Partition), ["one"]);
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let handler = move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Err::<(), _>(ProcessError::fatal("no key store")) }
    };
    let error = run(&source, handler).await.unwrap_err();
    assert!(error.to_string().contains("no key store"), "{error}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_policy_to_pause_a_stopped_lane_leaves_the_other_partitions_alone() {
    let mut rules = rules(Order::Partition);
    rules.on_lane_stop = LaneStopPolicy::Pause;
    let record = |partition: u32, text: &'static str| {
        ProducerRecord::new("orders")
            .partition(partition)
            .value(text)
    };
    let source =
        InMemory::new(rules).with([record(0, "bad"), record(1, "good"), record(1, "good")]);
    let handler = |Text(text): Text| async move {
        match text.as_str() {
            "bad" => Err(ProcessError::poison("not JSON")),
            _ => Ok(()),
        }
    };
    let report = run(&source, handler).await.unwrap();
    assert_eq!(report.processed, 2);
    assert_eq!(source.committable(&at(0)), Some(Offset::ZERO));
    assert_eq!(source.committable(&at(1)), Some(2_u32.into()));
    let pauses = source.pauses();
    assert_eq!((pauses.len(), &*pauses[0].by), (1, "lane-stopped"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_has_a_record_for_too_long_is_reported_and_may_be_stopped() {
    let notes = Notes::default();
    let mut rules = observed(rules(Order::Partition), &notes);
    rules.max_processing_time = Duration::from_secs(10);
    rules.on_stuck = StuckPolicy::StopLane;
    let source = orders(rules, ["slow"]).drain_timeout(Duration::from_secs(5));
    let handler = || async { sleep(Duration::from_secs(3_600)).await };
    let error = run(&source, handler).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let notes = notes.all();
    assert_eq!(notes[0], "stuck at 0");
    assert!(notes[1].starts_with("stopped in handler: "), "{notes:?}");
}
