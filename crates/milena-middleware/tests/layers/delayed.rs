//! A failed record goes through the retry topics, each with its delay, and then to the dead letter
//! topic.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use milena_core::{
    Attempt, Backoff, ConsumerRecord, ErrorClass, GateState, Incoming, Outcome, ProcessError,
    ProducerRecord, Routes, Timestamp,
};
use milena_middleware::{
    DeadLetterLayer, DelayedRetryLayer, RetryLayer, RetryTopics, Router, Stack,
};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::bed::{Sink, call, class, incoming};

const SECOND: Duration = Duration::from_secs(1);

/// A clock that the test sets.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn set(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    fn reader(&self) -> impl Fn() -> Timestamp + Send + Sync + 'static {
        let clock = self.clone();
        move || Timestamp::from_millis(clock.0.load(Ordering::SeqCst))
    }
}

fn topics() -> RetryTopics {
    RetryTopics::new([5 * SECOND, 60 * SECOND])
}

fn layer(sink: &Sink, clock: &Clock) -> DelayedRetryLayer<Sink> {
    let backoff = Backoff::new(SECOND, 8 * SECOND).jitter(0.0);
    DelayedRetryLayer::new(topics(), sink.clone())
        .clock(clock.reader())
        .backoff(backoff)
}

/// Returns the record that was written last, as a consumer reads it from its topic.
fn back(sink: &Sink) -> Incoming {
    let written: ProducerRecord = sink.letters.lock().last().unwrap().clone();
    let mut record = ConsumerRecord::new(&written.topic, 0, 99);
    record.key = written.record.key;
    record.value = written.record.value;
    record.headers = written.record.headers;
    record.timestamp = Some(Timestamp::from_millis(777_777));
    Incoming::new(record)
}

#[tokio::test(start_paused = true)]
async fn a_record_takes_each_delay_in_turn_and_ends_as_a_dead_letter_with_its_whole_story() {
    let (sink, clock) = (Sink::default(), Clock::default());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
        .layer(layer(&sink, &clock))
        .layer(RetryLayer::fixed(SECOND).max_attempts(2))
        .handler(move |Attempt(attempt): Attempt, at: Timestamp| {
            noted.lock().push((attempt, at.to_millis()));
            async { Err::<(), _>(ProcessError::dependency("payments", "refused")) }
        });
    stack.check().unwrap();

    let mut first = incoming(17);
    first.record.timestamp = Some(Timestamp::from_millis(123));
    clock.set(1_000);
    let outcome = call(&stack, first).await.unwrap();
    assert!(matches!(outcome, Outcome::Forwarded(_)) && outcome.settles());
    let mut due = 6_000;
    for (round, topic) in [(1, "orders.retry.5s"), (2, "orders.retry.1m")] {
        let again = back(&sink);
        assert_eq!(again.record.topic, topic);
        let headers = &again.record.headers;
        assert_eq!(
            headers.text("milena.retry.round"),
            Some(round.to_string().as_str())
        );
        assert_eq!(
            headers.text("milena.retry.due"),
            Some(due.to_string().as_str())
        );
        assert_eq!(headers.text("milena.cause.dependency"), Some("payments"));

        clock.set(due - 1);
        let early = call(&stack, again.clone()).await.unwrap();
        assert_eq!(
            early,
            Outcome::Hold(Timestamp::from_millis(due)),
            "not before it is due"
        );
        clock.set(due);
        assert!(call(&stack, again).await.unwrap().settles());
        due += 60_000;
    }
    let letter = back(&sink).record;
    assert_eq!(letter.topic, "orders.dead");
    let text = |name| letter.headers.text(name);
    assert_eq!(text("milena.origin.topic"), Some("orders"));
    assert_eq!(text("milena.origin.offset"), Some("17"));
    assert_eq!(text("milena.origin.timestamp"), Some("123"));
    assert_eq!(text("milena.attempts"), Some("6"));
    assert_eq!(text("milena.cause.message"), Some("refused"));
    assert_eq!(
        text("milena.retry.round"),
        None,
        "a letter that is replayed begins anew"
    );
    let attempts: Vec<_> = seen.lock().iter().map(|(attempt, _)| *attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4, 5, 6]);
    assert!(
        seen.lock().iter().all(|(_, at)| *at == 123),
        "its first timestamp"
    );
}

#[tokio::test(start_paused = true)]
async fn what_no_time_can_mend_takes_no_delay() {
    let (sink, clock) = (Sink::default(), Clock::default());
    for error in [ErrorClass::Poison, ErrorClass::Business, ErrorClass::Fatal] {
        let stack = Stack::new()
            .layer(layer(&sink, &clock))
            .handler(move || async move { Err::<(), _>(ProcessError::new(error, "no")) });
        assert_eq!(class(&call(&stack, incoming(1)).await), Some(error));
    }
    for outcome in [
        Outcome::Ack,
        Outcome::skip("old"),
        Outcome::dead_letter("no"),
    ] {
        let answer = outcome.clone();
        let stack = Stack::new().layer(layer(&sink, &clock)).handler(move || {
            let answer = answer.clone();
            async move { answer }
        });
        assert_eq!(call(&stack, incoming(1)).await.unwrap(), outcome);
    }
    assert!(sink.letters.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_asks_for_another_attempt_gets_it_later() {
    let (sink, clock) = (Sink::default(), Clock::default());
    let stack = Stack::new()
        .layer(layer(&sink, &clock))
        .handler(async || Outcome::retry("not yet"));
    assert_eq!(call(&stack, incoming(1)).await.unwrap().name(), "forwarded");
    assert_eq!(back(&sink).record.topic, "orders.retry.5s");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_not_done_before_its_retry_topic_has_it() {
    let (sink, clock) = (Sink::failing(2), Clock::default());
    let layer = layer(&sink, &clock);
    let gate = layer.gate();
    let stack = Stack::new()
        .layer(layer)
        .handler(async || Err::<(), _>(ProcessError::transient("busy")));
    let began = Instant::now();
    let (answer, ()) = tokio::join!(call(&stack, incoming(1)), async {
        sleep(SECOND / 2).await;
        assert!(
            matches!(gate.state(), GateState::Closed(reason) if reason.contains("no broker answers"))
        );
    });
    assert_eq!(answer.unwrap().name(), "forwarded");
    assert_eq!(began.elapsed(), 3 * SECOND);
    assert!(gate.is_open());

    let stuck = Sink::failing(1_000);
    let stack = Stack::new()
        .layer(DelayedRetryLayer::new(topics(), stuck))
        .handler(async || Err::<(), _>(ProcessError::transient("busy")));
    let incoming = incoming(2);
    let stopping = incoming.stopping.clone();
    let (answer, ()) = tokio::join!(call(&stack, incoming), async {
        sleep(30 * SECOND).await;
        stopping.cancel();
    });
    assert!(!answer.unwrap().settles(), "left to the next owner");
}

#[tokio::test]
async fn a_dead_letter_that_is_replayed_begins_its_rounds_anew() {
    let (sink, clock) = (Sink::default(), Clock::default());
    let stack = Stack::new()
        .layer(layer(&sink, &clock))
        .handler(async || Err::<(), _>(ProcessError::transient("busy")));
    let mut replayed = incoming(1);
    replayed.record.headers.push("milena.retry.round", "2");
    replayed
        .record
        .headers
        .push("milena.retry.due", "99999999999999");
    assert_eq!(call(&stack, replayed).await.unwrap().name(), "forwarded");
    assert_eq!(back(&sink).record.topic, "orders.retry.5s");
}

#[test]
fn a_router_sends_what_comes_from_a_retry_topic_to_the_route_of_its_topic() {
    let (sink, clock) = (Sink::default(), Clock::default());
    let router = Router::new()
        .layer(layer(&sink, &clock))
        .route("orders", async || Outcome::skip("orders"))
        .route("bills.*", async || Outcome::skip("bills"));
    router.check().unwrap();
    let at = |topic: &str| router.select(&ConsumerRecord::new(topic, 0, 0));
    assert_eq!(at("orders.retry.5s"), at("orders"));
    assert_eq!(at("orders.retry.1m"), at("orders"));
    assert_eq!(at("bills.eu.retry.5s"), at("bills.eu"));
    assert_ne!(at("orders.retry.7s"), at("orders"));
    let takes = |route: usize, topic: &str| router.routes()[route].takes(&topic.into());
    assert!(takes(at("orders"), "orders.retry.5s") && takes(at("bills.eu"), "bills.eu.retry.1m"));
    assert!(!takes(at("orders"), "bills.eu"));
}
