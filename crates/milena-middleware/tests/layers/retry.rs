//! Errors that may pass by themselves are retried, within bounds.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use milena_core::{Attempt, Backoff, BoxError, ErrorClass, Incoming, Outcome, ProcessError};
use milena_middleware::retry::RetryBudget;
use milena_middleware::{RetryLayer, Stack};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::bed::{call, class, incoming};

fn second() -> RetryLayer {
    RetryLayer::new(Backoff::new(Duration::from_secs(1), Duration::from_secs(60)).jitter(0.0))
}

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_and_waits_double() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (noted, began) = (Arc::clone(&seen), Instant::now());
    let stack = Stack::new()
        .layer(second())
        .handler(move |Attempt(attempt): Attempt| {
            noted.lock().push((attempt, began.elapsed().as_secs()));
            async { Err::<(), _>(ProcessError::transient("busy")) }
        });
    let answer = call(&stack, incoming(1)).await;
    assert_eq!(class(&answer), Some(ErrorClass::Transient));
    assert_eq!(*seen.lock(), [(1, 0), (2, 1), (3, 3), (4, 7), (5, 15)]);
}

#[tokio::test(start_paused = true)]
async fn poison_business_and_fatal_errors_are_not_tried_again() {
    for wanted in [ErrorClass::Poison, ErrorClass::Business, ErrorClass::Fatal] {
        let stack = Stack::new()
            .layer(second())
            .handler(move |Attempt(attempt): Attempt| {
                assert_eq!(attempt, 1);
                async move { Err::<(), _>(ProcessError::new(wanted, "no")) }
            });
        assert_eq!(class(&call(&stack, incoming(1)).await), Some(wanted));
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_a_dependency_names_is_kept() {
    let began = Instant::now();
    let stack =
        Stack::new()
            .layer(second())
            .handler(async |Attempt(attempt): Attempt| match attempt {
                1 => Err(ProcessError::throttled(Duration::from_secs(42), "later")),
                _ => Ok(Outcome::Ack),
            });
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
    assert_eq!(began.elapsed(), Duration::from_secs(42));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_for_another_attempt_gets_it_within_the_bound() {
    let stack =
        Stack::new()
            .layer(second().max_attempts(3))
            .handler(async |Attempt(attempt): Attempt| {
                if attempt < 3 {
                    Outcome::retry("not yet")
                } else {
                    Outcome::Ack
                }
            });
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
    let never = Stack::new()
        .layer(second().max_attempts(3))
        .handler(async || Outcome::retry("never"));
    let error = call(&never, incoming(1)).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Transient);
    assert!(error.to_string().contains("3 times: never"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_after_the_time_is_over() {
    let began = Instant::now();
    let layer = second()
        .max_attempts(100)
        .max_elapsed(Duration::from_secs(10));
    let stack = Stack::new()
        .layer(layer)
        .handler(async || Err::<(), _>(ProcessError::transient("busy")));
    call(&stack, incoming(1)).await.unwrap_err();
    assert_eq!(
        began.elapsed(),
        Duration::from_secs(7),
        "1 + 2 + 4; 8 more would be too late"
    );
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_given_back_ends_the_wait_and_leaves_the_record_unsettled() {
    let began = Instant::now();
    let stack = Stack::new()
        .layer(second())
        .handler(async || Err::<(), _>(ProcessError::transient("busy")));
    let incoming = incoming(1);
    let stopping = incoming.stopping.clone();
    let (answer, ()) = tokio::join!(call(&stack, incoming), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stopping.cancel();
    });
    assert!(!answer.unwrap().settles());
    assert_eq!(began.elapsed(), Duration::from_millis(200));
}

#[tokio::test(start_paused = true)]
async fn repeats_that_the_budget_does_not_cover_wait_and_none_is_given_up() {
    let began = Instant::now();
    let budget = RetryBudget::new(0.0, 1.0);
    let layer = RetryLayer::fixed(Duration::ZERO)
        .max_attempts(3)
        .budget(budget);
    let stack =
        Stack::new()
            .layer(layer)
            .handler(async |Attempt(attempt): Attempt| match attempt {
                3 => Ok(Outcome::Ack),
                _ => Err(ProcessError::transient("busy")),
            });
    for n in 0..10 {
        assert_eq!(call(&stack, incoming(n)).await.unwrap(), Outcome::Ack);
    }
    // Of the twenty retries, ten were saved up, and ten come one per second.
    assert_eq!(began.elapsed().as_secs(), 10);
}

/// Counts the futures of attempts that are alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_begins_after_the_one_before_was_dropped() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let service = tower::service_fn(move |_: Incoming| {
        // The future owns this until it is dropped, not only until it is ready.
        let alive = Alive::new(&count);
        let noted = Arc::clone(&noted);
        poll_fn(move |_| {
            noted.lock().push(alive.count());
            Poll::Ready(Err::<Outcome, BoxError>("busy".into()))
        })
    });
    // Without a wait the next attempt begins in the same poll in which the one before it ended.
    let stack = Stack::new()
        .layer(RetryLayer::fixed(Duration::ZERO))
        .service(service);
    let answer = call(&stack, incoming(1)).await;
    assert_eq!(class(&answer), Some(ErrorClass::Transient));
    assert_eq!(*seen.lock(), [1; 5]);
}
