//! Records that are not wanted, too old, or done before are passed over. Errors get their class.
//! Faults come as planned.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use milena_core::{
    Attempt, BoxError, ErrorClass, ErrorMap, Incoming, Offset, Outcome, ProcessError, Timestamp,
};
use milena_middleware::dedup::{DedupStore, MemoryStore};
use milena_middleware::{
    ClassifyLayer, DeadLetterLayer, DedupLayer, ExpiryLayer, FaultLayer, FilterLayer,
    RecoveryLayer, RetryLayer, Stack, TimeoutLayer,
};
use tokio::time::{Instant, sleep};

use crate::bed::{Sink, call, class, incoming};

const SECOND: Duration = Duration::from_secs(1);

fn identified(offset: u32, id: &'static str) -> Incoming {
    let mut incoming = incoming(offset);
    incoming.record.headers.push("id", id);
    incoming
}

#[tokio::test]
async fn what_a_filter_does_not_keep_is_skipped_with_its_reason() {
    let stack = Stack::new()
        .layer(FilterLayer::new("odd", |record| {
            record.offset.to_wire() % 2 == 0
        }))
        .handler(async || ());
    assert_eq!(call(&stack, incoming(2)).await.unwrap(), Outcome::Ack);
    assert_eq!(
        call(&stack, incoming(3)).await.unwrap(),
        Outcome::skip("odd")
    );
}

#[tokio::test]
async fn what_is_too_old_is_skipped_or_becomes_a_dead_letter() {
    let layer = || ExpiryLayer::after(60 * SECOND).clock(|| Timestamp::from_millis(100_000));
    let at = |millis| {
        let mut incoming = incoming(1);
        incoming.record.timestamp = Some(Timestamp::from_millis(millis));
        incoming
    };
    let stack = Stack::new().layer(layer()).handler(async || ());
    assert_eq!(call(&stack, at(40_000)).await.unwrap(), Outcome::Ack);
    assert_eq!(
        call(&stack, incoming(1)).await.unwrap(),
        Outcome::Ack,
        "without a timestamp"
    );
    assert_eq!(
        call(&stack, at(39_000)).await.unwrap(),
        Outcome::skip("it expired 1s ago")
    );
    let mut detour = at(99_000);
    detour.record.headers.extend([
        ("milena.origin.topic", "orders"),
        ("milena.origin.timestamp", "39000"),
    ]);
    assert_eq!(
        call(&stack, detour).await.unwrap().name(),
        "skip",
        "its first timestamp counts"
    );

    let sink = Sink::default();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", sink.clone()))
        .layer(layer().to_dead_letters())
        .handler(async || ());
    stack.check().unwrap();
    assert_eq!(
        call(&stack, at(1_000)).await.unwrap().name(),
        "dead_lettered"
    );
    let wrong = Stack::new()
        .layer(layer().to_dead_letters())
        .layer(DeadLetterLayer::new("dead", sink))
        .handler(async || ());
    assert!(wrong.check().is_err());
}

#[tokio::test]
async fn a_header_can_name_the_time() {
    let layer = ExpiryLayer::by_header("expires").clock(|| Timestamp::from_millis(5_000));
    let stack = Stack::new().layer(layer).handler(async || ());
    for (header, expected) in [("4999", "skip"), ("5000", "ack"), ("soon", "ack")] {
        let mut incoming = incoming(1);
        incoming.record.headers.push("expires", header);
        assert_eq!(
            call(&stack, incoming).await.unwrap().name(),
            expected,
            "{header}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_gives_foreign_errors_their_class_before_retry_asks() {
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let stack = Stack::new()
        .layer(RetryLayer::fixed(SECOND))
        .layer(ClassifyLayer::new(ErrorMap::standard()))
        .handler(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { "seven".parse::<u8>().map(drop) }
        });
    assert_eq!(
        class(&call(&stack, incoming(1)).await),
        Some(ErrorClass::Poison)
    );
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_record_that_was_done_is_passed_over_and_one_that_failed_is_not() {
    let stack = Stack::new()
        .layer(DedupLayer::by_header("id", MemoryStore::new(10)))
        .handler(async |offset: Offset| match offset.to_wire() {
            1 => Err(ProcessError::transient("busy")),
            _ => Ok(()),
        });
    call(&stack, identified(1, "a")).await.unwrap_err();
    assert_eq!(
        call(&stack, identified(2, "a")).await.unwrap(),
        Outcome::Ack
    );
    assert_eq!(
        call(&stack, identified(3, "a")).await.unwrap().name(),
        "skip"
    );
    assert_eq!(
        call(&stack, identified(4, "b")).await.unwrap(),
        Outcome::Ack
    );
    assert_eq!(
        call(&stack, incoming(5)).await.unwrap(),
        Outcome::Ack,
        "without an identity"
    );
}

#[tokio::test(start_paused = true)]
async fn two_of_one_identity_are_processed_one_after_the_other() {
    let running = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&running);
    let layer = DedupLayer::by(MemoryStore::new(10), |record| record.key.clone());
    let stack = Arc::new(Stack::new().layer(layer).handler(move |offset: Offset| {
        let seen = Arc::clone(&seen);
        async move {
            assert!(!seen.swap(true, Ordering::SeqCst), "two at once");
            sleep(SECOND).await;
            seen.store(false, Ordering::SeqCst);
            // The first one fails, so the second is processed, and the third is passed over.
            if offset.to_wire() == 1 {
                Err(ProcessError::business("no"))
            } else {
                Ok(())
            }
        }
    }));
    let lanes: Vec<_> = (1..=3)
        .map(|n| {
            let stack = Arc::clone(&stack);
            tokio::spawn(async move { call(&*stack, incoming(n)).await })
        })
        .collect();
    let mut ends = Vec::new();
    for lane in lanes {
        ends.push(
            lane.await
                .unwrap()
                .map_or("error", |outcome| outcome.name()),
        );
    }
    assert_eq!(ends, ["error", "ack", "skip"]);
}

/// A store that does not answer at first.
#[derive(Default)]
struct Down(AtomicU32);

impl DedupStore for Down {
    async fn contains(&self, _: &Bytes) -> Result<bool, BoxError> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0..3 => Err("connection refused".into()),
            _ => Ok(false),
        }
    }

    async fn insert(&self, _: &Bytes) -> Result<(), BoxError> {
        Err("connection refused".into())
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_does_not_answer_the_record_waits_and_the_gate_says_why() {
    let began = Instant::now();
    let layer = DedupLayer::by_header("id", Down::default());
    let gate = layer.gate();
    let stack = Stack::new().layer(layer).handler(async || ());
    let (answer, ()) = tokio::join!(call(&stack, identified(1, "a")), async {
        sleep(SECOND / 20).await;
        assert!(format!("{:?}", gate.state()).contains("connection refused"));
    });
    assert_eq!(answer.unwrap(), Outcome::Ack);
    assert!(gate.is_open() && began.elapsed() > SECOND / 2);
}

/// A store that never answers.
struct Gone;

impl DedupStore for Gone {
    async fn contains(&self, _: &Bytes) -> Result<bool, BoxError> {
        Err("connection refused".into())
    }

    async fn insert(&self, _: &Bytes) -> Result<(), BoxError> {
        Err("connection refused".into())
    }
}

#[tokio::test(start_paused = true)]
async fn the_gate_opens_when_the_last_record_that_waits_for_the_store_is_given_back() {
    let layer = DedupLayer::by_header("id", Gone);
    let gate = layer.gate();
    let stack = Arc::new(Stack::new().layer(layer).handler(async || ()));
    let lane = |offset, id| {
        let record = identified(offset, id);
        let stopping = record.stopping.clone();
        let stack = Arc::clone(&stack);
        (
            tokio::spawn(async move { call(&*stack, record).await }),
            stopping,
        )
    };
    let ((first, stop_first), (second, stop_second)) = (lane(1, "a"), lane(2, "b"));
    // The clock is paused, so this ends once both lanes have asked the store and wait.
    sleep(SECOND).await;
    assert!(!gate.is_open());
    stop_first.cancel();
    assert_eq!(first.await.unwrap().unwrap().name(), "retry");
    assert!(!gate.is_open(), "another record still waits");
    stop_second.cancel();
    assert_eq!(second.await.unwrap().unwrap().name(), "retry");
    assert!(gate.is_open());
}

#[tokio::test(start_paused = true)]
async fn the_gate_opens_when_the_call_that_waits_for_the_store_is_dropped() {
    let layer = DedupLayer::by_header("id", Gone);
    let gate = layer.gate();
    let stack = Stack::new().layer(layer).handler(async || ());
    let waited = tokio::time::timeout(SECOND, call(&stack, identified(1, "a"))).await;
    assert!(waited.is_err());
    assert!(gate.is_open());
}

#[tokio::test(start_paused = true)]
async fn faults_come_as_planned_and_the_same_for_the_same_seed() {
    async fn ends(seed: u64) -> (Vec<&'static str>, u64) {
        let faults = FaultLayer::seeded(seed)
            .errors(0.2, ErrorClass::Transient)
            .panics(0.1)
            .hangs(0.1)
            .delays(0.1, SECOND / 2)
            .lost_answers(0.1, ErrorClass::Dependency);
        let stack = Stack::new()
            .layer(TimeoutLayer::new(SECOND))
            .layer(RecoveryLayer::new())
            .layer(faults.clone())
            .handler(async |_: Attempt| ());
        let mut ends = Vec::new();
        for n in 0..200 {
            let answer = call(&stack, incoming(n)).await;
            ends.push(answer.map_or_else(|error| error.class().name(), |outcome| outcome.name()));
        }
        (ends, faults.made())
    }
    let (first, made) = ends(7).await;
    assert_eq!((first.clone(), made), ends(7).await);
    assert_ne!(first, ends(8).await.0);
    for kind in ["ack", "transient", "panic", "timeout", "dependency"] {
        assert!(first.contains(&kind), "{kind}");
    }
    assert!((80..160).contains(&made), "{made}");
}
