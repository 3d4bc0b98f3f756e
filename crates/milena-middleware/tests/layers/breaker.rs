//! While a dependency is down, records wait and spend no attempts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use milena_core::{Attempt, ErrorClass, GateState, Outcome, ProcessError, Routes};
use milena_middleware::circuit_breaker::{BreakerState, CircuitBreakers};
use milena_middleware::{
    CircuitBreakerLayer, ConcurrencyLayer, DeadLetterLayer, RetryLayer, Stack,
};
use tokio::time::{Instant, sleep, timeout};
use tower::{Service, ServiceExt};

use crate::bed::{Sink, call, incoming};

const SECOND: Duration = Duration::from_secs(1);

/// A dependency that can be switched off. Counts its calls.
#[derive(Clone, Default)]
struct Payments {
    down: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
}

impl Payments {
    async fn charge(&self) -> Result<(), ProcessError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match self.down.load(Ordering::SeqCst) {
            true => Err(ProcessError::dependency("payments", "connection refused")),
            false => Ok(()),
        }
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

fn layer() -> CircuitBreakerLayer {
    CircuitBreakerLayer::new("payments")
        .consecutive(3)
        .open_for(10 * SECOND)
}

fn handler(payments: &Payments) -> impl milena_core::Handler<()> {
    let payments = payments.clone();
    move || {
        let payments = payments.clone();
        async move { payments.charge().await }
    }
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_open_it_and_a_good_probe_closes_it() {
    let payments = Payments::default();
    let layer = layer();
    let breaker = layer.breaker();
    let stack = Stack::new().layer(layer).handler(handler(&payments));
    payments.down.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        call(&stack, incoming(1)).await.unwrap_err();
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    let GateState::Closed(reason) = stack.routes()[0].gates[0].state() else {
        panic!("the gate is closed")
    };
    assert!(reason.contains("3 failures"), "{reason}");

    let began = Instant::now();
    payments.down.store(false, Ordering::SeqCst);
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
    assert_eq!(began.elapsed(), 10 * SECOND, "it waited for the probe");
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert!(breaker.gate().is_open());
}

#[tokio::test(start_paused = true)]
async fn a_record_outlasts_an_outage_of_any_length_within_few_attempts_and_is_no_dead_letter() {
    let (payments, sink) = (Payments::default(), Sink::default());
    payments.down.store(true, Ordering::SeqCst);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", sink.clone()))
        .layer(RetryLayer::fixed(SECOND / 10).max_elapsed(5 * SECOND))
        .layer(layer())
        .handler(handler(&payments));
    let back = payments.clone();
    let (answer, ()) = tokio::join!(call(&stack, incoming(1)), async move {
        sleep(75 * SECOND).await;
        back.down.store(false, Ordering::SeqCst);
    });
    assert_eq!(answer.unwrap(), Outcome::Ack);
    assert!(sink.letters.lock().is_empty());
    // Three calls opened the breaker, seven probes failed ten seconds apart, and one call
    // succeeded.
    assert_eq!(payments.calls(), 3 + 7 + 1);
}

#[tokio::test(start_paused = true)]
async fn the_failure_that_opens_it_is_no_dead_letter_though_it_is_the_last_attempt() {
    let (payments, sink) = (Payments::default(), Sink::default());
    payments.down.store(true, Ordering::SeqCst);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", sink.clone()))
        .layer(RetryLayer::fixed(SECOND / 10).max_attempts(3))
        .layer(layer())
        .handler(handler(&payments));
    let back = payments.clone();
    let (answer, ()) = tokio::join!(call(&stack, incoming(1)), async move {
        sleep(5 * SECOND).await;
        back.down.store(false, Ordering::SeqCst);
    });
    assert_eq!(answer.unwrap(), Outcome::Ack);
    assert!(sink.letters.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_may_be_at_fault_itself_uses_up_its_attempts_though_it_opens_the_breaker() {
    for class in [ErrorClass::Transient, ErrorClass::Timeout] {
        let sink = Sink::default();
        let stack = Stack::new()
            .layer(DeadLetterLayer::new("dead", sink.clone()))
            .layer(RetryLayer::fixed(SECOND / 10))
            .layer(layer())
            .handler(move || async move { Err::<(), _>(ProcessError::new(class, "always")) });
        let outcome = call(&stack, incoming(1)).await.unwrap();
        assert_eq!(outcome.name(), "dead_lettered");
        assert_eq!(sink.letters.lock().len(), 1, "{class}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_of_attempts_for_the_class_dependency_counts_probes_too() {
    let (payments, sink) = (Payments::default(), Sink::default());
    payments.down.store(true, Ordering::SeqCst);
    let retry = RetryLayer::fixed(SECOND / 10);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", sink.clone()))
        .layer(retry.max_attempts_for(ErrorClass::Dependency, 7))
        .layer(layer())
        .handler(handler(&payments));
    let outcome = call(&stack, incoming(1)).await.unwrap();
    assert_eq!(outcome.name(), "dead_lettered");
    assert_eq!((payments.calls(), sink.letters.lock().len()), (7, 1));
}

#[tokio::test(start_paused = true)]
async fn one_probe_at_a_time_goes_through_whoever_waits() {
    let payments = Payments::default();
    let layer = layer();
    let stack = Arc::new(
        Stack::new()
            .layer(layer.clone())
            .handler(handler(&payments)),
    );
    payments.down.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        call(&*stack, incoming(1)).await.unwrap_err();
    }
    let lanes: Vec<_> = (0..20)
        .map(|n| {
            let stack = Arc::clone(&stack);
            tokio::spawn(async move { call(&*stack, incoming(n)).await })
        })
        .collect();
    sleep(11 * SECOND).await;
    assert_eq!(payments.calls(), 4, "one probe, which failed");
    payments.down.store(false, Ordering::SeqCst);
    let mut failed = 0;
    for lane in lanes {
        failed += u32::from(lane.await.unwrap().is_err());
    }
    assert_eq!(failed, 1, "the probe that failed");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_is_given_back() {
    let payments = Payments::default();
    let stack = Stack::new().layer(layer()).handler(handler(&payments));
    payments.down.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        call(&stack, incoming(1)).await.unwrap_err();
    }
    sleep(11 * SECOND).await;
    payments.down.store(false, Ordering::SeqCst);
    let mut holder = stack.service(0);
    holder.ready().await.unwrap();
    let mut other = stack.service(0);
    assert!(
        timeout(SECOND, other.ready()).await.is_err(),
        "the probe is taken"
    );
    let begun = holder.call(incoming(1));
    drop((begun, holder));
    let outcome = other
        .ready()
        .await
        .unwrap()
        .call(incoming(2))
        .await
        .unwrap();
    assert_eq!(outcome, Outcome::Ack);
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_about_the_dependency_does_not_count() {
    let stack = Stack::new()
        .layer(layer())
        .handler(async |Attempt(_): Attempt| Err::<(), _>(ProcessError::poison("no order")));
    for _ in 0..50 {
        call(&stack, incoming(1)).await.unwrap_err();
    }
    assert!(stack.routes()[0].gates[0].is_open());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_held_open_by_hand_stays_so_until_a_hand_closes_it() {
    let payments = Payments::default();
    let layer = layer();
    let breaker = layer.breaker();
    let stack = Stack::new().layer(layer).handler(handler(&payments));
    breaker.hold_open("payments are being upgraded");
    let waiting = timeout(1_000 * SECOND, call(&stack, incoming(1))).await;
    assert!(waiting.is_err());
    breaker.close();
    assert_eq!(call(&stack, incoming(1)).await.unwrap(), Outcome::Ack);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_waits_lets_go_when_its_partition_is_given_back() {
    let payments = Payments::default();
    let layer = layer();
    let breaker = layer.breaker();
    let stack = Stack::new()
        .layer(RetryLayer::fixed(SECOND))
        .layer(layer)
        .handler(handler(&payments));
    payments.down.store(true, Ordering::SeqCst);
    let incoming = incoming(1);
    let stopping = incoming.stopping.clone();
    let (answer, ()) = tokio::join!(call(&stack, incoming), async {
        sleep(5 * SECOND).await;
        assert_eq!(breaker.state(), BreakerState::Open);
        stopping.cancel();
    });
    assert!(!answer.unwrap().settles());
}

#[tokio::test(start_paused = true)]
async fn a_dependency_that_is_just_back_is_met_by_few_calls_at_first() {
    let (now, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counted, peak) = (Arc::clone(&now), Arc::clone(&most));
    let layer = layer().slow_start(8);
    let breaker = layer.breaker();
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let stack = Arc::new(Stack::new().layer(layer).handler(move || {
        let (counted, peak, is_down) = (
            Arc::clone(&counted),
            Arc::clone(&peak),
            Arc::clone(&is_down),
        );
        async move {
            if is_down.load(Ordering::SeqCst) {
                return Err(ProcessError::dependency("payments", "refused"));
            }
            peak.fetch_max(counted.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(SECOND).await;
            counted.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    }));
    for _ in 0..3 {
        call(&*stack, incoming(1)).await.unwrap_err();
    }
    down.store(false, Ordering::SeqCst);
    let lanes: Vec<_> = (0..40)
        .map(|n| {
            let stack = Arc::clone(&stack);
            tokio::spawn(async move { call(&*stack, incoming(n)).await })
        })
        .collect();
    // The breaker is half open at 10 s. After one probe of a second, the calls at once are one more
    // than have succeeded.
    let mut peaks = Vec::new();
    sleep(10 * SECOND + SECOND / 2).await;
    for _ in 0..6 {
        peaks.push(most.load(Ordering::SeqCst));
        sleep(SECOND).await;
    }
    assert_eq!(peaks, [1, 1, 2, 4, 8, 24]);
    for lane in lanes {
        assert_eq!(lane.await.unwrap().unwrap(), Outcome::Ack);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_waits_for_the_breaker_keeps_no_place_in_a_queue_that_the_probe_needs() {
    let (layer, only_one) = (layer(), ConcurrencyLayer::new(1));
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let stack = Stack::new().layer(layer).layer(only_one).handler(move || {
        let is_down = is_down.load(Ordering::SeqCst);
        async move {
            sleep(SECOND).await;
            match is_down {
                true => Err(ProcessError::dependency("payments", "refused")),
                false => Ok(()),
            }
        }
    });
    let stack = Arc::new(stack);
    let lanes: Vec<_> = (0..6)
        .map(|n| {
            let stack = Arc::clone(&stack);
            tokio::spawn(async move { call(&*stack, incoming(n)).await })
        })
        .collect();
    sleep(5 * SECOND).await;
    down.store(false, Ordering::SeqCst);
    let mut done = 0;
    for lane in lanes {
        let ended = timeout(100 * SECOND, lane)
            .await
            .expect("nobody waits for ever");
        done += u32::from(ended.unwrap().is_ok());
    }
    assert_eq!(
        done, 3,
        "three failed and opened it, the others waited and went well"
    );
}

#[tokio::test(start_paused = true)]
async fn routes_that_name_the_same_dependency_share_its_breaker_and_no_other() {
    let breakers = CircuitBreakers::new(|layer| layer.consecutive(1).open_for(10 * SECOND));
    let down = async || Err::<(), _>(ProcessError::dependency("payments", "down"));
    let orders = Stack::new().layer(breakers.layer("payments")).handler(down);
    let refunds = Stack::new().layer(breakers.layer("payments"));
    let refunds = refunds.handler(async || ());
    let stock = Stack::new().layer(breakers.layer("stock"));
    let stock = stock.handler(async || ());

    call(&orders, incoming(1)).await.unwrap_err();
    let began = Instant::now();
    assert_eq!(call(&stock, incoming(2)).await.unwrap(), Outcome::Ack);
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(call(&refunds, incoming(3)).await.unwrap(), Outcome::Ack);
    assert!(began.elapsed() >= 10 * SECOND);
    assert_eq!(breakers.all().len(), 2);
}
