//! Attempts are spread over time and limited in number, for all lanes together, only by waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use milena_core::{ErrorClass, GateState, Incoming, Offset, Outcome, ProcessError, Routes};
use milena_middleware::{ConcurrencyLayer, RateLimitLayer, RetryLayer, Stack, TimeoutLayer};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::bed::{call, incoming};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn all_lanes_together_keep_the_rate() {
    let began = Instant::now();
    let times = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&times);
    let limit = RateLimitLayer::new("mail", 2, SECOND).burst(1);
    let handler = move || {
        noted.lock().push(began.elapsed().as_millis());
        async {}
    };
    let one = Arc::new(Stack::new().layer(limit.clone()).handler(handler.clone()));
    let two = Arc::new(Stack::new().layer(limit).handler(handler));
    let mut lanes = Vec::new();
    for n in 0..3 {
        for stack in [Arc::clone(&one), Arc::clone(&two)] {
            lanes.push(tokio::spawn(
                async move { call(&*stack, incoming(n)).await },
            ));
        }
    }
    for lane in lanes {
        assert_eq!(lane.await.unwrap().unwrap(), Outcome::Ack);
    }
    assert_eq!(*times.lock(), [0, 500, 1_000, 1_500, 2_000, 2_500]);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_takes_a_token() {
    let began = Instant::now();
    let stack = Stack::new()
        .layer(RetryLayer::fixed(Duration::ZERO).max_attempts(4))
        .layer(RateLimitLayer::new("mail", 1, SECOND).burst(1))
        .handler(async || Err::<(), _>(ProcessError::transient("busy")));
    call(&stack, incoming(1)).await.unwrap_err();
    assert_eq!(began.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_closes_the_gate_until_its_token_is_there() {
    let limit = RateLimitLayer::new("mail", 1, 10 * SECOND).burst(1);
    let gate = limit.limiter().gate().clone();
    let stack = Stack::new().layer(limit).handler(async || ());
    assert!(stack.routes()[0].gates[0].same(&gate));
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
    assert!(gate.is_open());
    let (answer, ()) = tokio::join!(call(&stack, incoming(2)), async {
        sleep(SECOND).await;
        assert!(matches!(gate.state(), GateState::Closed(reason) if reason.contains("next token")));
    });
    assert_eq!(answer.unwrap(), Outcome::Ack);
    assert!(gate.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_token_of_a_lane_that_is_gone_is_there_for_others_and_its_gate_opens() {
    let limit = RateLimitLayer::new("mail", 1, 100 * SECOND).burst(1);
    let gate = limit.limiter().gate().clone();
    let stack = Stack::new().layer(limit).handler(async || ());
    let mut ready = stack.service(0);
    ready.ready().await.unwrap();
    let mut waits = stack.service(0);
    assert!(timeout(SECOND, waits.ready()).await.is_err());
    assert!(!gate.is_open());
    drop(waits);
    assert!(gate.is_open());
    drop(ready);
    let again = timeout(SECOND, call(&stack, incoming(1))).await;
    assert_eq!(again.unwrap().unwrap(), Outcome::Ack);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_stands_around_any_service() {
    let began = Instant::now();
    let service = service_fn(|number: u32| async move { Ok::<_, std::io::Error>(number) });
    let mut service = RateLimitLayer::new("any", 1, SECOND)
        .burst(1)
        .layer(service);
    for number in 0..3 {
        assert_eq!(
            service.ready().await.unwrap().call(number).await.unwrap(),
            number
        );
    }
    assert_eq!(began.elapsed(), 2 * SECOND);
}

/// Runs `lanes` lanes of `records` records each over a stack whose handler takes a second. Returns
/// the most that ran at once.
async fn most_at_once(layer: &ConcurrencyLayer, lanes: u32, records: u32) -> usize {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, peak) = (Arc::clone(&now), Arc::clone(&most));
    let stack = Arc::new(Stack::new().layer(layer.clone()).handler(move |_: Offset| {
        let (counted, peak) = (Arc::clone(&counted), Arc::clone(&peak));
        async move {
            peak.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(SECOND).await;
            counted.fetch_sub(1, Ordering::SeqCst);
        }
    }));
    let tasks: Vec<_> = (0..lanes)
        .map(|lane| {
            let stack = Arc::clone(&stack);
            tokio::spawn(async move {
                for n in 0..records {
                    let answer = call(&*stack, incoming(lane * 1_000 + n)).await;
                    assert_eq!(answer.unwrap(), Outcome::Ack);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    most.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_run_at_once_than_the_limit() {
    let began = Instant::now();
    assert_eq!(most_at_once(&ConcurrencyLayer::new(3), 12, 1).await, 3);
    assert_eq!(began.elapsed(), 4 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_waits_for_its_next_attempt_keeps_no_permit() {
    let stack = Arc::new(
        Stack::new()
            .layer(RetryLayer::fixed(100 * SECOND).max_attempts(2))
            .layer(ConcurrencyLayer::new(1))
            .handler(async |offset: Offset| match offset.to_wire() {
                1 => Err(ProcessError::transient("busy")),
                _ => Ok(Outcome::Ack),
            }),
    );
    let failing = Arc::clone(&stack);
    let failing = tokio::spawn(async move { call(&*failing, incoming(1)).await });
    sleep(SECOND).await;
    let other = timeout(SECOND, call(&*stack, incoming(2))).await;
    assert_eq!(other.unwrap().unwrap(), Outcome::Ack);
    failing.await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_permit_comes_back_from_an_attempt_that_is_cut_off() {
    let stack = Stack::new()
        .layer(ConcurrencyLayer::new(1))
        .layer(TimeoutLayer::new(SECOND))
        .handler(async || std::future::pending::<()>().await);
    for n in 0..3 {
        let error = call(&stack, incoming(n)).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn an_adaptive_limit_grows_while_all_goes_well_and_shrinks_when_it_does_not() {
    let layer = ConcurrencyLayer::adaptive(1, 20);
    assert_eq!(layer.limit(), 4);
    assert_eq!(most_at_once(&layer, 40, 20).await, 20);
    assert_eq!(layer.limit(), 20);

    let slow = Stack::new()
        .layer(layer.clone())
        .handler(async || Err::<(), _>(ProcessError::throttled(SECOND, "too many")));
    for n in 0..30 {
        call(&slow, incoming(n)).await.unwrap_err();
        sleep(SECOND).await;
    }
    assert_eq!(layer.limit(), 1);
    assert_eq!(
        most_at_once(&layer, 1, 1).await,
        1,
        "what is left still passes"
    );
}

#[tokio::test]
async fn what_says_nothing_about_load_leaves_an_adaptive_limit_as_it_is() {
    let layer = ConcurrencyLayer::adaptive(1, 20);
    let stack = Stack::new()
        .layer(layer.clone())
        .handler(async |_: Incoming| Err::<(), _>(ProcessError::poison("no order")));
    for n in 0..100 {
        call(&stack, incoming(n)).await.unwrap_err();
    }
    assert_eq!(layer.limit(), 4);
}
