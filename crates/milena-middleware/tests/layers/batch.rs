//! A handler takes the records that lanes have ready at the same time, and each record still gets
//! its own answer.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Attempt, BatchError, ErrorClass, Incoming, Offset, Outcome, ProcessError, Routes, State, Text,
};
use milena_middleware::batch::Batching;
use milena_middleware::{DeadLetterLayer, RecoveryLayer, RetryLayer, Router, Stack, TimeoutLayer};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt};

use crate::bed::{Sink, call, incoming};

const SECOND: Duration = Duration::from_secs(1);
type Answer = Result<Outcome, ProcessError>;

/// Sends records through a stack, each in a lane of its own, all at once.
fn lanes<R>(stack: &Arc<R>, records: impl IntoIterator<Item = Incoming>) -> Vec<JoinHandle<Answer>>
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome, Error = milena_core::BoxError>,
    <R::Service as Service<Incoming>>::Future: Send,
{
    let lane = |record: Incoming| {
        let service = stack.service(stack.select(&record.record));
        tokio::spawn(async move {
            service
                .oneshot(record)
                .await
                .map_err(ProcessError::from_boxed)
        })
    };
    records.into_iter().map(lane).collect()
}

async fn words(lanes: Vec<JoinHandle<Answer>>) -> Vec<&'static str> {
    let mut words = Vec::new();
    for lane in lanes {
        let answer = lane.await.unwrap();
        words.push(answer.map_or_else(|error| error.class().name(), |outcome| outcome.name()));
    }
    words
}

#[tokio::test(start_paused = true)]
async fn a_batch_goes_when_it_is_full_or_when_its_time_is_over() {
    let began = Instant::now();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let stack = Stack::new().with_state(7u8).batch(
        Batching::up_to(4).within(SECOND),
        move |all: Vec<(Offset, State<u8>)>| {
            let offsets: Vec<_> = all.iter().map(|(offset, _)| offset.to_wire()).collect();
            noted.lock().push((offsets, began.elapsed().as_millis()));
            async {}
        },
    );
    let stack = Arc::new(stack);
    let all = lanes(&stack, (0..6).map(incoming));
    assert_eq!(words(all).await, ["ack"; 6]);
    assert_eq!(*seen.lock(), [(vec![0, 1, 2, 3], 0), (vec![4, 5], 1_000)]);
    assert!(
        stack.explain().contains("up to 4 records"),
        "{}",
        stack.explain()
    );
}

#[tokio::test(start_paused = true)]
async fn each_record_has_its_own_answer_through_the_layers() {
    let sink = Sink::default();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", sink.clone()))
        .layer(RetryLayer::fixed(SECOND).max_attempts(3))
        .batch(Batching::up_to(10), async |all: Vec<(Offset, Attempt)>| {
            let answer = |(offset, Attempt(attempt)): &(Offset, Attempt)| match offset.to_wire() {
                0 => Ok(Outcome::Ack),
                1 => Ok(Outcome::skip("old")),
                2 => Err(ProcessError::poison("no order")),
                3 if *attempt < 3 => Err(ProcessError::transient("busy")),
                3 => Ok(Outcome::Ack),
                _ => Err(ProcessError::transient("never")),
            };
            all.iter().map(answer).collect::<Vec<_>>()
        });
    let stack = Arc::new(stack);
    let all = lanes(&stack, (0..5).map(incoming));
    let expected = ["ack", "skip", "dead_lettered", "ack", "dead_lettered"];
    assert_eq!(words(all).await, expected);
    let letters = sink.letters.lock();
    let attempts = |at: usize| letters[at].record.headers.text("milena.attempts");
    assert_eq!(
        (letters.len(), attempts(0), attempts(1)),
        (2, Some("1"), Some("3"))
    );
}

#[tokio::test(start_paused = true)]
async fn one_bad_record_uses_up_no_attempts_of_the_others() {
    let stack = Stack::new()
        .layer(RetryLayer::fixed(SECOND).max_attempts(2))
        .batch(Batching::up_to(10), async |all: Vec<(Offset, Attempt)>| {
            for (at, (offset, Attempt(attempt))) in all.iter().enumerate() {
                if offset.to_wire() % 3 == 0 {
                    return Err(BatchError::failed_from(at, ProcessError::transient("busy")));
                }
                assert_eq!(*attempt, 1, "the others go through at once");
            }
            Ok(())
        });
    let stack = Arc::new(stack);
    let all = lanes(&stack, (0..7).map(incoming));
    let bad = "transient";
    assert_eq!(
        words(all).await,
        [bad, "ack", "ack", bad, "ack", "ack", bad]
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_poison_alone() {
    let stack = Arc::new(
        Stack::new().batch(Batching::up_to(10), async |all: Vec<Text>| {
            assert_eq!(all.len(), 2);
        }),
    );
    let mut bad = incoming(1);
    bad.record.value = Some(vec![0xff].into());
    let all = lanes(&stack, [incoming(0), bad, incoming(2)]);
    assert_eq!(words(all).await, ["ack", "poison", "ack"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_takes_too_long_is_ended_for_all_and_leaves_nothing_running() {
    let running = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&running);
    struct Running(Arc<Mutex<i32>>);
    impl Drop for Running {
        fn drop(&mut self) {
            *self.0.lock() -= 1;
        }
    }
    let stack = Stack::new()
        .layer(RetryLayer::fixed(10 * SECOND).max_attempts(2))
        .layer(TimeoutLayer::new(SECOND).grace(Duration::ZERO))
        .batch(Batching::up_to(3), move |all: Vec<(Offset, Attempt)>| {
            let counted = Arc::clone(&counted);
            async move {
                *counted.lock() += 1;
                let running = Running(counted);
                assert_eq!(*running.0.lock(), 1, "no two attempts at once");
                let Attempt(attempt) = all[0].1;
                sleep(if attempt == 1 {
                    100 * SECOND
                } else {
                    SECOND / 2
                })
                .await;
            }
        });
    let stack = Arc::new(stack);
    let all = lanes(&stack, (0..3).map(incoming));
    sleep(5 * SECOND).await;
    assert_eq!(*running.lock(), 0);
    // The batch had records of three lanes. One timed out first and ended it for all, so its record
    // is retried in place. The driver brings the others again.
    assert_eq!(words(all).await, ["ack", "hold", "hold"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_leaves_before_its_batch_runs_takes_nobody_along() {
    let stack = Arc::new(Stack::new().batch(
        Batching::up_to(10).within(10 * SECOND),
        async |all: Vec<Offset>| assert_eq!(all.len(), 2),
    ));
    let all = lanes(&stack, (0..3).map(incoming));
    sleep(SECOND).await;
    all[1].abort();
    let mut ends = Vec::new();
    for lane in all {
        ends.push(lane.await.is_ok_and(|answer| answer.is_ok()));
    }
    assert_eq!(ends, [true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_batch_is_an_error_of_each_of_its_records() {
    let stack = Stack::new().layer(RecoveryLayer::new()).batch(
        Batching::up_to(2),
        async |all: Vec<Offset>| {
            assert!(all.is_empty(), "by design");
        },
    );
    let stack = Arc::new(stack);
    let all = lanes(&stack, (0..2).map(incoming));
    assert_eq!(words(all).await, ["panic"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_a_route_like_others() {
    let batch = Stack::new().batch(Batching::up_to(2), async |_: Vec<Offset>| ());
    let router = Router::new().route("orders", batch);
    assert_eq!(call(&router, incoming(1)).await.unwrap(), Outcome::Ack);
    let error = Err::<(), _>(ProcessError::new(ErrorClass::Business, "no"));
    assert!(error.is_err());
}
