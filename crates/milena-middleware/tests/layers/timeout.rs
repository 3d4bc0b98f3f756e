//! An attempt that takes too long ends, and no two overlap.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena_core::{CancelToken, ErrorClass, Outcome};
use milena_middleware::{RetryLayer, Stack, TimeoutLayer};
use tokio::time::{Instant, sleep};

use crate::bed::{call, class, incoming};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_attempt_that_never_ends_is_dropped_after_its_grace() {
    let began = Instant::now();
    let stack = Stack::new()
        .layer(TimeoutLayer::new(5 * SECOND).grace(SECOND))
        .handler(async || pending::<()>().await);
    let answer = call(&stack, incoming(1)).await;
    assert_eq!(class(&answer), Some(ErrorClass::Timeout));
    assert!(answer.unwrap_err().to_string().contains("5s"));
    assert_eq!(began.elapsed(), 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_watches_its_token_ends_in_its_own_words() {
    let stack =
        Stack::new()
            .layer(TimeoutLayer::new(5 * SECOND))
            .handler(async |cancel: CancelToken| {
                cancel.cancelled().await;
                Outcome::skip("ran out of time and tidied up")
            });
    let answer = call(&stack, incoming(1)).await.unwrap();
    assert_eq!(answer, Outcome::skip("ran out of time and tidied up"));
}

#[tokio::test(start_paused = true)]
async fn the_token_of_an_attempt_does_not_end_the_next_one() {
    let stack = Stack::new()
        .layer(RetryLayer::fixed(SECOND))
        .layer(TimeoutLayer::new(5 * SECOND))
        .handler(
            async |cancel: CancelToken, milena_core::Attempt(attempt): milena_core::Attempt| {
                assert!(!cancel.is_cancelled());
                if attempt == 1 {
                    pending::<()>().await;
                }
            },
        );
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
}

#[tokio::test(start_paused = true)]
async fn shielded_attempts_end_before_the_answer_and_never_overlap() {
    let running = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&running);
    let stack = Stack::new()
        .layer(RetryLayer::fixed(SECOND).max_attempts(3))
        .layer(TimeoutLayer::new(5 * SECOND).shielded(60 * SECOND))
        .handler(move || {
            let count = Arc::clone(&count);
            async move {
                assert_eq!(
                    count.fetch_add(1, Ordering::SeqCst),
                    0,
                    "two attempts at once"
                );
                sleep(20 * SECOND).await;
                count.fetch_sub(1, Ordering::SeqCst);
                Err::<(), _>(milena_core::ProcessError::transient("slow and in vain"))
            }
        });
    let began = Instant::now();
    let answer = call(&stack, incoming(1)).await;
    assert_eq!(class(&answer), Some(ErrorClass::Transient));
    assert_eq!(
        began.elapsed(),
        62 * SECOND,
        "3 attempts of 20 s and 2 waits"
    );
}

#[tokio::test(start_paused = true)]
async fn a_shielded_attempt_that_does_not_end_stops_the_consumer() {
    let stack = Stack::new()
        .layer(TimeoutLayer::new(5 * SECOND).shielded(10 * SECOND))
        .handler(async || pending::<()>().await);
    let answer = call(&stack, incoming(1)).await.unwrap();
    let Outcome::Stop(reason) = answer else {
        panic!("{answer:?}")
    };
    assert!(reason.contains("10s"), "{reason}");
}
