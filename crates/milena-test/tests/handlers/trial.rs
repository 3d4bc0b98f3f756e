//! A trial shows the results of layers and handlers, without a broker and in no time.

use std::time::Duration;

use milena_client::core::{
    Attempt, Backoff, ConsumerRecord, Emitter, Error, ErrorClass, ErrorKind, Offset, Order,
    Outcome, ProcessError, ProducerRecord, Text, Timestamp,
};
use milena_client::middleware::batch::Batching;
use milena_client::middleware::{
    DeadLetterLayer, EmitLayer, RecoveryLayer, RetryLayer, Router, Stack, TimeoutLayer,
};
use milena_client::serializer::{Json, JsonExt};
use milena_test::{Sink, Trial};

const MINUTE: Duration = Duration::from_secs(60);

fn order(text: &'static str) -> ProducerRecord {
    ProducerRecord::new("orders").key("k").value(text)
}

fn patient() -> RetryLayer {
    RetryLayer::new(Backoff::new(MINUTE, MINUTE).jitter(0.0))
}

#[tokio::test(start_paused = true)]
async fn the_time_that_retries_and_timeouts_take_is_exact_and_costs_none() {
    let real = std::time::Instant::now();
    let stack = Stack::new()
        .layer(patient())
        .layer(TimeoutLayer::new(MINUTE).grace(Duration::ZERO))
        .handler(async |Attempt(attempt): Attempt| {
            if attempt == 1 {
                std::future::pending::<()>().await;
            }
        });
    let trial = Trial::new(stack).unwrap();
    let done = trial.feed(order("stamps")).await;
    assert_eq!((done.outcome(), done.took), (&Outcome::Ack, 2 * MINUTE));
    assert_eq!(trial.elapsed(), 2 * MINUTE);
    assert!(real.elapsed() < MINUTE);
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_is_not_settled_holds_the_commit_back() {
    let trial = Trial::new(async |Text(order): Text| match order.as_str() {
        "later" => Outcome::retry("not yet"),
        _ => Outcome::Ack,
    })
    .unwrap();
    assert_eq!(trial.committable("orders", 0), None);
    let fed = [order("a"), order("later"), order("c")];
    let done = trial.feed_all(fed).await;
    let settled: Vec<_> = done.iter().map(milena_test::Processed::settles).collect();
    assert_eq!(settled, [true, false, true]);
    assert_eq!(trial.committable("orders", 0), Some(Offset::from(1)));
    assert_eq!(done[2].record.offset, Offset::from(2));
    trial.feed(order("a").partition(7)).await;
    assert_eq!(trial.committable("orders", 7), Some(Offset::from(1)));
}

#[tokio::test(start_paused = true)]
async fn a_run_in_lanes_keeps_the_order_of_keys_tries_again_and_ends_as_a_consumer_would() {
    let trial =
        Trial::new(
            async |Text(order): Text, Attempt(attempt): Attempt| match order.as_str() {
                "late" if attempt < 3 => Err("not yet"),
                "never" => Err("no"),
                _ => Ok(()),
            },
        )
        .unwrap();
    let fed = [order("late"), order("behind"), order("first").key("other")];
    let done = trial.run(Order::Key(2), fed).await.unwrap();
    let done: Vec<_> = done
        .iter()
        .map(|done| (done.record.offset.to_wire(), done.settles()))
        .collect();
    let expected = [(0, false), (2, true), (0, false), (0, true), (1, true)];
    assert_eq!(done, expected);
    let error = trial.run(Order::Partition, [order("never")]).await;
    let error = error.unwrap_err();
    assert!(
        error.message().contains("gave up after 5 attempts"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_told_with_its_class_and_its_causes() {
    let trial = Trial::new(Stack::new().layer(RecoveryLayer::new()).handler(
        async |Json(order): Json<u32>| {
            assert!(order != 13, "an unlucky number");
            Err::<(), _>(ProcessError::business("refused"))
        },
    ))
    .unwrap();
    let json = |number: u32| ProducerRecord::new("orders").json(&number).unwrap();
    let refused = trial.feed(json(1)).await;
    assert_eq!(refused.class(), Some(ErrorClass::Business));
    assert!(
        refused.to_string().contains("orders/0 offset 0"),
        "{refused}"
    );
    let panicked = trial.feed(json(13)).await;
    assert_eq!(panicked.class(), Some(ErrorClass::Panic));
    let poison = trial.feed(order("no number")).await.result.unwrap_err();
    assert_eq!(poison.class, ErrorClass::Poison);
    assert!(poison.text.contains("offset 2"), "{}", poison.text);
}

#[tokio::test(start_paused = true)]
async fn dead_letters_and_emitted_records_are_in_the_sink_and_its_failures_are_tried_again() {
    let sink = Sink::new();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
        .layer(patient())
        .layer(EmitLayer::new(sink.clone()))
        .handler(
            async |Text(order): Text, bills: Emitter| match order.as_str() {
                "bad" => Err(ProcessError::poison("no order")),
                _ => {
                    bills.emit(ProducerRecord::new("bills").value(order));
                    Ok(())
                }
            },
        );
    let trial = Trial::new(stack).unwrap();
    sink.fail(2);
    let good = trial.feed(order("good")).await;
    assert_eq!((good.outcome(), good.took), (&Outcome::Ack, 2 * MINUTE));
    let bad = trial.feed(order("bad")).await;
    assert!(matches!(bad.outcome(), Outcome::DeadLettered(_)), "{bad}");
    assert_eq!(sink.values("bills"), ["good"]);
    let [letter] = &sink.of("orders.dead")[..] else {
        panic!("{:?}", sink.records())
    };
    let headers = &letter.record.headers;
    assert_eq!(headers.text("milena.cause.message"), Some("no order"));
    assert_eq!(trial.committable("orders", 0), Some(Offset::from(2)));
    assert_eq!(sink.take().len(), 2);
    assert!(sink.records().is_empty());

    let too_large = Error::new(ErrorKind::RecordTooLarge, "over a megabyte");
    sink.fail_with([too_large]);
    let mut direct = sink.clone();
    let failed = tower_service::Service::call(&mut direct, order("x")).await;
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::RecordTooLarge);
}

#[tokio::test(start_paused = true)]
async fn layers_that_ask_for_the_time_go_by_the_trials_clock() {
    use milena_client::middleware::ExpiryLayer;
    let minute = Duration::from_secs(60);
    let stack = Stack::new().layer(ExpiryLayer::after(minute));
    let trial = Trial::new(stack.handler(async || ())).unwrap();
    let fresh = ProducerRecord::new("prices").value("v");
    assert_eq!(trial.feed(fresh).await.outcome(), &Outcome::Ack);
    let mut old = ProducerRecord::new("prices").value("v");
    old.record.timestamp = Some(trial.now());
    tokio::time::sleep(2 * minute).await;
    let answer = trial.feed(old).await;
    assert!(matches!(answer.outcome(), Outcome::Skip(_)), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_router_shows_which_route_each_record_took() {
    let router = Router::new()
        .route("orders", Stack::new().named("bill").handler(async || ()))
        .fallback(
            Stack::new()
                .named("rest")
                .handler(async || Outcome::skip("not ours")),
        );
    let trial = Trial::new(router).unwrap();
    let billed = trial.feed(order("a")).await;
    assert_eq!((&*billed.route, billed.outcome()), ("bill", &Outcome::Ack));
    let other = trial.feed(ProducerRecord::new("returns")).await;
    assert_eq!(&*other.route, "rest");
    assert!(other.settles());
}

#[tokio::test(start_paused = true)]
async fn a_batch_handler_takes_what_is_fed_at_once() {
    let stack = Stack::new().batch(Batching::up_to(10), async |orders: Vec<Text>| {
        let of = |order: &Text| match order.0.as_str() {
            "bad" => Outcome::dead_letter("bad"),
            _ => Outcome::skip(format!("one of {}", orders.len())),
        };
        orders.iter().map(of).collect::<Vec<_>>()
    });
    let trial = Trial::new(stack).unwrap();
    let (first, second, third) = tokio::join!(
        trial.feed(order("a")),
        trial.feed(order("bad")),
        trial.feed(order("c"))
    );
    assert_eq!(first.outcome(), &Outcome::skip("one of 3"));
    assert!(!second.settles());
    assert!(third.settles());
    assert_eq!(trial.committable("orders", 0), Some(Offset::from(1)));
}

#[tokio::test(start_paused = true)]
async fn an_order_of_layers_that_is_refused_is_refused_before_the_first_record() {
    let wrong = Stack::new()
        .layer(TimeoutLayer::new(MINUTE))
        .layer(patient())
        .handler(async || ());
    let error = Trial::new(wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn records_are_stamped_by_the_trials_clock() {
    let trial = Trial::new(async |record: ConsumerRecord| {
        assert!(record.timestamp.is_some());
    })
    .unwrap();
    let began = trial.now();
    tokio::time::sleep(MINUTE).await;
    let done = trial.feed(order("a")).await;
    assert_eq!(done.record.timestamp, Some(began.plus(MINUTE)));
    let stamped = order("b").timestamp(Timestamp::from_millis(7));
    let done = trial.feed(stamped).await;
    assert_eq!(done.record.timestamp, Some(Timestamp::from_millis(7)));
}

#[tokio::test(start_paused = true)]
async fn each_class_of_errors_is_tried_as_often_as_it_may_pass_and_says_so_in_its_letter() {
    for (class, attempts) in [
        (ErrorClass::Transient, 3),
        (ErrorClass::Throttled, 3),
        (ErrorClass::Dependency, 3),
        (ErrorClass::Timeout, 3),
        (ErrorClass::Panic, 3),
        (ErrorClass::Poison, 1),
        (ErrorClass::Business, 1),
    ] {
        let sink = Sink::new();
        let stack = Stack::new()
            .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
            .layer(patient().max_attempts(3))
            .handler(move || async move { Err::<(), _>(ProcessError::new(class, "always")) });
        let trial = Trial::new(stack).unwrap();
        let fed = trial.feed(order("a")).await;
        assert_eq!(fed.outcome().name(), "dead_lettered");
        assert_eq!(fed.took, MINUTE * (attempts - 1), "{class}");
        let letter = &sink.of("orders.dead")[0].record.headers;
        assert_eq!(letter.text("milena.cause.class"), Some(class.name()));
        assert_eq!(letter.text("milena.attempts"), Some(&*attempts.to_string()));
    }
    // A fatal error writes nothing and settles nothing.
    let sink = Sink::new();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
        .layer(patient())
        .handler(async || Err::<(), _>(ProcessError::fatal("no key store")));
    let trial = Trial::new(stack).unwrap();
    let fed = trial.feed(order("a")).await;
    assert_eq!(fed.class(), Some(ErrorClass::Fatal));
    assert!(sink.records().is_empty() && !fed.settles());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_told_without_what_it_holds() {
    let sink = Sink::new();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", sink.clone()))
        .handler(async |Json(order): Json<Vec<u32>>| assert!(order.is_empty()));
    let trial = Trial::new(stack).unwrap();
    let secret = order(r#"["4111-1111"]"#).partition(7);
    let fed = trial.feed(secret).await;
    let letter = &sink.of("orders.dead")[0].record.headers;
    let message = letter.text("milena.cause.message").unwrap();
    for part in ["orders", "7", "offset 0", "[0]", "expected u32"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(
        !message.contains("4111") && !fed.to_string().contains("4111"),
        "{message}"
    );
}
