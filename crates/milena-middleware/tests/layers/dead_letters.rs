//! A record that cannot be processed is written as a dead letter, and is done only when that is
//! acknowledged.

use std::time::Duration;

use milena_core::{Backoff, ErrorClass, ErrorKind, Incoming, Outcome, ProcessError, Routes};
use milena_middleware::dead_letter::{Dialect, Letter};
use milena_middleware::{DeadLetterLayer, RetryLayer, Stack};
use tokio::time::{Instant, sleep};

use crate::bed::{Sink, call, class, incoming, record};

fn layer(sink: &Sink) -> DeadLetterLayer<Sink> {
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8)).jitter(0.0);
    DeadLetterLayer::new("orders.dead", sink.clone()).backoff(backoff)
}

#[tokio::test(start_paused = true)]
async fn a_letter_carries_the_record_its_cause_and_its_attempts() {
    let sink = Sink::default();
    let stack = Stack::new()
        .layer(layer(&sink))
        .layer(RetryLayer::fixed(Duration::from_secs(1)).max_attempts(4))
        .handler(async || Err::<(), _>(ProcessError::dependency("payments", "refused")));
    let outcome = call(&stack, incoming(7)).await.unwrap();
    assert!(matches!(outcome, Outcome::DeadLettered(_)) && outcome.settles());
    let letters = sink.letters.lock();
    let headers = &letters[0].record.headers;
    assert_eq!(
        (letters.len(), letters[0].topic.as_str()),
        (1, "orders.dead")
    );
    assert_eq!(letters[0].record.value.as_deref(), Some(&b"7"[..]));
    assert_eq!(headers.text("milena.origin.topic"), Some("orders"));
    assert_eq!(headers.text("milena.cause.class"), Some("dependency"));
    assert_eq!(headers.text("milena.attempts"), Some("4"));
}

#[tokio::test]
async fn what_the_handler_gives_up_is_a_letter_too() {
    let sink = Sink::default();
    let stack = Stack::new()
        .layer(layer(&sink))
        .handler(async || Outcome::dead_letter("not for us"));
    assert!(call(&stack, incoming(1)).await.unwrap().settles());
    let letters = sink.letters.lock();
    assert_eq!(
        letters[0].record.headers.text("milena.cause.class"),
        Some("rejected")
    );
    assert_eq!(
        letters[0].record.headers.text("milena.cause.message"),
        Some("not for us")
    );
}

#[tokio::test]
async fn other_answers_pass() {
    let sink = Sink::default();
    for outcome in [Outcome::Ack, Outcome::skip("old"), Outcome::stop("enough")] {
        let answer = outcome.clone();
        let stack = Stack::new().layer(layer(&sink)).handler(move || {
            let answer = answer.clone();
            async move { answer }
        });
        assert_eq!(call(&stack, incoming(1)).await.unwrap(), outcome);
    }
    let stack = Stack::new()
        .layer(layer(&sink))
        .handler(async || Err::<(), _>(ProcessError::fatal("no key store")));
    assert_eq!(
        class(&call(&stack, incoming(1)).await),
        Some(ErrorClass::Fatal)
    );
    assert!(sink.letters.lock().is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_a_letter_cannot_be_written_the_lane_waits_and_the_gate_says_why() {
    let sink = Sink::failing(3);
    let layer = layer(&sink);
    let gate = layer.gate();
    let stack = Stack::new()
        .layer(layer)
        .handler(async || Err::<(), _>(ProcessError::poison("no order")));
    assert!(stack.routes()[0].gates[0].same(&gate) && stack.routes()[0].dead_letters);
    let began = Instant::now();
    let (answer, ()) = tokio::join!(call(&stack, incoming(1)), async {
        sleep(Duration::from_secs(2)).await;
        let state = format!("{:?}", gate.state());
        assert!(state.contains("no broker answers"), "{state}");
    });
    assert!(answer.unwrap().settles());
    assert_eq!(began.elapsed(), Duration::from_secs(1 + 2 + 4));
    assert!(gate.is_open());
    assert_eq!(sink.letters.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_given_back_leaves_the_unwritten_letter_to_its_next_owner() {
    let sink = Sink::failing(1_000);
    let stack = Stack::new()
        .layer(layer(&sink))
        .handler(async || Err::<(), _>(ProcessError::poison("no order")));
    let incoming = incoming(1);
    let stopping = incoming.stopping.clone();
    let (answer, ()) = tokio::join!(call(&stack, incoming), async {
        sleep(Duration::from_secs(30)).await;
        stopping.cancel();
    });
    assert!(!answer.unwrap().settles());
    assert!(sink.failures_left() > 900);
}

#[tokio::test]
async fn a_record_of_the_dead_letter_topic_is_not_written_to_it_again() {
    let sink = Sink::default();
    let stack = Stack::new()
        .layer(layer(&sink))
        .handler(async || Err::<(), _>(ProcessError::poison("no order")));
    let mut letter = record(1);
    letter.topic = "orders.dead".into();
    let answer = call(&stack, Incoming::new(letter)).await;
    assert_eq!(class(&answer), Some(ErrorClass::Poison));
    assert!(sink.letters.lock().is_empty());
}

#[tokio::test]
async fn a_letter_speaks_other_dialects_by_option_and_names_its_group() {
    let sink = Sink::default();
    let stack = Stack::new()
        .layer(
            layer(&sink)
                .dialect(Dialect::Spring)
                .dialect(Dialect::ShareGroup)
                .group("billing"),
        )
        .handler(async || Err::<(), _>(ProcessError::poison("no order")));
    assert!(call(&stack, incoming(7)).await.unwrap().settles());
    let letters = sink.letters.lock();
    let headers = &letters[0].record.headers;
    for dialect in [Dialect::Milena, Dialect::Spring, Dialect::ShareGroup] {
        let letter = Letter::read_as(dialect, headers).unwrap();
        assert_eq!(
            (letter.topic.as_str(), letter.offset),
            ("orders", Some(7.into()))
        );
        assert_eq!(letter.group.as_deref(), Some("billing"));
        assert_eq!(letter.message.as_deref(), Some("no order"));
    }
    assert_eq!(Letter::read_as(Dialect::Connect, headers), None);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_is_too_large_is_written_without_its_words() {
    let sink = Sink::refusing(ErrorKind::RecordTooLarge);
    let stack = Stack::new()
        .layer(layer(&sink).dialect(Dialect::Spring))
        .handler(async || Err::<(), _>(ProcessError::poison("no order")));
    let began = Instant::now();
    assert!(call(&stack, incoming(7)).await.unwrap().settles());
    assert!(began.elapsed().is_zero());
    let letters = sink.letters.lock();
    let letter = Letter::read(&letters[0].record.headers).unwrap();
    assert_eq!(
        (letter.offset, letter.class.as_deref()),
        (Some(7.into()), Some("poison"))
    );
    assert_eq!(letter.message.as_deref(), Some(""));
    assert_eq!(letters[0].record.value.as_deref(), Some(&b"7"[..]));
}
