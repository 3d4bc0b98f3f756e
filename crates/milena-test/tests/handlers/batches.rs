//! Handlers of several records. The records in a lane's queue come together and in order, and each
//! is settled alone.

use std::sync::Arc;
use std::time::Duration;

use milena_client::consumer::{ConsumerBuilder, Order};
use milena_client::core::{
    Attempt, BatchError, Gate, Offset, Outcome, ProcessError, ProducerRecord, Text,
};
use milena_client::middleware::batch::Batching;
use milena_client::middleware::{
    ConcurrencyLayer, DeadLetterLayer, RecoveryLayer, RetryLayer, Router, Stack, TimeoutLayer,
};
use milena_test::{Kit, Processed, Sink, Trial};
use parking_lot::Mutex;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

async fn kit(values: impl IntoIterator<Item = &'static str>) -> Kit {
    let kit = Kit::builder().topic("orders", 1).topic("orders.dead", 1);
    let kit = kit.start().await.unwrap();
    for value in values {
        kit.send("orders", "k", value).await.unwrap();
    }
    kit
}

/// The records of each call of the handler.
type Calls = Arc<Mutex<Vec<String>>>;

fn note(calls: &Calls, texts: &[Text]) {
    let texts: Vec<_> = texts.iter().map(|text| text.0.as_str()).collect();
    calls.lock().push(texts.join(" "));
}

fn ends(processed: &[Processed]) -> Vec<(i64, &'static str)> {
    let end = |each: &Processed| {
        let name = each.result.as_ref().map_or("failed", Outcome::name);
        (each.record.offset.to_wire(), name)
    };
    let mut ends: Vec<_> = processed.iter().map(end).collect();
    ends.sort_unstable();
    ends
}

#[tokio::test(start_paused = true)]
async fn a_lane_hands_over_what_is_in_its_queue_up_to_a_number_and_in_order() {
    let kit = kit(["x"; 250]).await;
    let (calls, gate) = (Arc::new(Mutex::new(Vec::new())), Gate::new("operator"));
    gate.close("until all is fetched");
    let noted = Arc::clone(&calls);
    let stack = Stack::new()
        .gate(gate.clone())
        .layer(RetryLayer::fixed(SECOND))
        .layer(TimeoutLayer::new(SECOND))
        .layer(RecoveryLayer::new())
        .batch(Batching::up_to(100), move |all: Vec<Offset>| {
            noted.lock().push(all);
            async {}
        });
    let running = kit.run("store", ["orders"], stack).unwrap();
    sleep(SECOND).await;
    gate.open();
    kit.until_committed("store", "orders", 250).await;
    running.stop().await.unwrap();
    let calls = calls.lock();
    assert_eq!(calls.iter().map(Vec::len).max(), Some(100));
    assert!(calls.len() <= 6, "{} calls", calls.len());
    let all: Vec<_> = calls.iter().flatten().map(|at| at.to_wire()).collect();
    assert_eq!(all, (0..250).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_first_of_a_batch_waits_for_others_for_a_short_time() {
    let kit = kit([]).await;
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    let stack = Stack::new().batch(
        Batching::up_to(3).within(10 * SECOND),
        move |all: Vec<Text>| {
            note(&noted, &all);
            async {}
        },
    );
    let running = kit.run("store", ["orders"], stack).unwrap();
    for value in ["a", "b", "c", "d"] {
        kit.send("orders", "k", value).await.unwrap();
        sleep(SECOND).await;
    }
    kit.until_committed("store", "orders", 4).await;
    assert_eq!(*calls.lock(), ["a b c", "d"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_is_done_before_those_behind_it_and_poison_alone_is_a_dead_letter() {
    let kit = kit(["a", "poison", "b", "busy", "c", "d"]).await;
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    let handler = move |all: Vec<(Text, Attempt)>| {
        let (texts, attempts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        note(&noted, &texts);
        let bad = texts
            .iter()
            .zip(&attempts)
            .position(|(text, attempt)| text.0 == "poison" || text.0 == "busy" && attempt.0 < 3);
        async move {
            let Some(at) = bad else { return Ok(()) };
            let error = match texts[at].0.as_str() {
                "poison" => ProcessError::poison("no order"),
                _ => ProcessError::transient("busy"),
            };
            Err(BatchError::failed_from(at, error))
        }
    };
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(RetryLayer::fixed(SECOND).max_attempts(3))
        .batch(Batching::up_to(6).within(SECOND), handler);
    let running = kit.run("store", ["orders"], stack).unwrap();
    kit.until_committed("store", "orders", 6).await;
    let expected = ["a poison b busy c d", "b busy c d", "busy", "busy", "c d"];
    assert_eq!(*calls.lock(), expected);
    let letters = kit.records("orders.dead").unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].value.as_deref(), Some(&b"poison"[..]));
    let report = running.stop().await.unwrap();
    assert_eq!((report.processed, report.dead_lettered), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn where_a_batch_fails_as_a_whole_the_bad_record_is_found_and_no_other_blamed() {
    let mut values = vec!["good"; 40];
    values[23] = "bad";
    let kit = kit(values).await;
    let most = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&most);
    let handler = move |all: Vec<(Text, Attempt)>| {
        let mut most = seen.lock();
        *most = all
            .iter()
            .map(|(_, attempt)| attempt.0)
            .max()
            .max(Some(*most))
            .unwrap();
        assert!(all.iter().all(|(text, _)| text.0 != "bad"), "by design");
        async {}
    };
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(RetryLayer::fixed(SECOND).max_attempts(3))
        .layer(RecoveryLayer::new())
        .batch(Batching::up_to(16), handler);
    let running = kit.run("store", ["orders"], stack).unwrap();
    kit.until_committed("store", "orders", 40).await;
    let report = running.stop().await.unwrap();
    assert_eq!((report.processed, report.dead_lettered), (39, 1));
    let letters = kit.records("orders.dead").unwrap();
    assert_eq!(letters[0].value.as_deref(), Some(&b"bad"[..]));
    assert_eq!(*most.lock(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_of_records_of_several_lanes_counts_for_the_slow_one_alone() {
    for (order, shielded) in [
        (Order::Key(8), false),
        (Order::Unordered(8), false),
        (Order::Key(8), true),
        (Order::Unordered(8), true),
    ] {
        let kit = kit([]).await;
        for number in 0..40 {
            let value = if number % 20 == 5 { "slow" } else { "good" };
            let key = format!("k{number}");
            kit.send("orders", key, value).await.unwrap();
        }
        let seen = Arc::new(Mutex::new((0, 0)));
        let noted = Arc::clone(&seen);
        let handler = move |all: Vec<(Text, Attempt)>| {
            let slow = all.iter().any(|(text, _)| text.0 == "slow");
            let good = all.iter().filter(|(text, _)| text.0 == "good");
            let attempts = good.map(|(_, attempt)| attempt.0).max().unwrap_or(0);
            let mut noted = noted.lock();
            *noted = (noted.0.max(all.len()), noted.1.max(attempts));
            async move {
                if slow {
                    sleep(10 * SECOND).await;
                    return Err(std::io::Error::other("late"));
                }
                Ok(())
            }
        };
        let timeout = match shielded {
            false => TimeoutLayer::new(2 * SECOND),
            true => TimeoutLayer::new(2 * SECOND).shielded(60 * SECOND),
        };
        let stack = Stack::new()
            .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
            .layer(RetryLayer::fixed(SECOND).max_attempts(2))
            .layer(timeout)
            .batch(Batching::up_to(8), handler);
        let lanes = |consumer: ConsumerBuilder| consumer.order(order);
        let running = kit.run_with("store", ["orders"], stack, lanes).unwrap();
        kit.until_committed("store", "orders", 40).await;
        let report = running.stop().await.unwrap();
        let done = (report.processed, report.dead_lettered);
        assert_eq!(done, (38, 2), "{order:?}, {shielded}");
        let letters = kit.records("orders.dead").unwrap();
        for letter in letters {
            assert_eq!(letter.value.as_deref(), Some(&b"slow"[..]));
            assert_eq!(letter.headers.text("milena.attempts"), Some("2"));
        }
        let (most, attempts) = *seen.lock();
        assert!(most > 1, "no batch of several was made");
        assert_eq!(attempts, 1, "a good record was blamed");
    }
}

#[tokio::test(start_paused = true)]
async fn without_layers_the_driver_tries_again_in_order_and_a_lane_that_is_stuck_has_lost_nothing()
{
    let kit = kit(["a", "b", "stuck", "c"]).await;
    let handler = async |all: Vec<Text>| {
        let at = all.iter().position(|text| text.0 == "stuck");
        let failed = |at| BatchError::failed_from(at, ProcessError::transient("never"));
        at.map_or(Ok(()), |at| Err(failed(at)))
    };
    let stack = Stack::new().batch(Batching::up_to(10), handler);
    let running = kit.run("store", ["orders"], stack).unwrap();
    let error = running.ended().await.unwrap_err();
    assert!(error.to_string().contains("offset 2"), "{error}");
    assert_eq!(kit.committed("store", "orders"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_limit_inside_makes_batches_smaller_and_locks_nothing_up() {
    let kit = kit(["x"; 30]).await;
    let (calls, tries) = (Calls::default(), Arc::new(Mutex::new(0)));
    let noted = Arc::clone(&calls);
    let stack = Stack::new()
        .layer(RetryLayer::fixed(SECOND))
        .layer(ConcurrencyLayer::new(4))
        .batch(Batching::up_to(10), move |all: Vec<Text>| {
            note(&noted, &all);
            let mut tries = tries.lock();
            *tries += 1;
            let failed = *tries % 3 == 1;
            async move {
                if failed {
                    return Err(ProcessError::transient("busy"));
                }
                Ok(())
            }
        });
    let running = kit.run("store", ["orders"], stack).unwrap();
    kit.until_committed("store", "orders", 30).await;
    let most = calls
        .lock()
        .iter()
        .map(|call| call.split(' ').count())
        .max();
    assert_eq!(most, Some(4));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn routes_for_one_record_and_for_several_share_a_lane_in_order() {
    let kit = Kit::builder().topic("orders", 1).topic("bills", 1);
    let kit = kit.start().await.unwrap();
    for n in 0..20 {
        kit.send("orders", "k", n.to_string()).await.unwrap();
        kit.send("bills", "k", n.to_string()).await.unwrap();
    }
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sizes);
    let several = Stack::new().batch(Batching::up_to(20), move |all: Vec<Offset>| {
        noted.lock().push(all.len());
        async {}
    });
    let router = Router::new()
        .route("orders", several)
        .route("bills", async |Text(_): Text| ());
    let running = kit.run("store", ["orders", "bills"], router).unwrap();
    kit.until_committed("store", "orders", 20).await;
    kit.until_committed("store", "bills", 20).await;
    assert_eq!(sizes.lock().iter().sum::<usize>(), 20);
    assert!(sizes.lock().len() < 20);
    running.stop().await.unwrap();
}

/// The handler that is run in each way below.
async fn bill(Text(order): &Text, Attempt(attempt): Attempt) -> Result<Outcome, ProcessError> {
    match order.as_str() {
        "poison" => Err(ProcessError::poison("no order")),
        "busy" if attempt < 3 => Err(ProcessError::transient("busy")),
        "late" => Ok(Outcome::skip("too late")),
        _ => Ok(Outcome::Ack),
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_handler_ends_the_same_under_run_and_under_trial_alone_and_in_batches() {
    const ORDERS: [&str; 6] = ["a", "poison", "busy", "late", "poison", "b"];
    let expected = [
        (0, "ack"),
        (1, "dead_lettered"),
        (2, "ack"),
        (3, "skip"),
        (4, "dead_lettered"),
        (5, "ack"),
    ];
    macro_rules! layers {
        ($letters:expr) => {
            Stack::new()
                .layer(DeadLetterLayer::new("orders.dead", $letters))
                .layer(RetryLayer::fixed(SECOND).max_attempts(3))
                .layer(RecoveryLayer::new())
        };
    }
    macro_rules! alone {
        ($letters:expr) => {
            layers!($letters)
                .handler(async |order: Text, attempt: Attempt| bill(&order, attempt).await)
        };
    }
    macro_rules! together {
        ($letters:expr) => {
            layers!($letters).batch(Batching::up_to(10), async |orders: Vec<(Text, Attempt)>| {
                let mut answers = Vec::new();
                for (order, attempt) in &orders {
                    answers.push(bill(order, *attempt).await);
                }
                answers
            })
        };
    }
    let order = |text: &'static str| ProducerRecord::new("orders").key("k").value(text);

    let sink = Sink::new();
    let trial = Trial::new(alone!(sink.clone())).unwrap();
    assert_eq!(ends(&trial.feed_all(ORDERS.map(order)).await), expected);
    assert_eq!(sink.values("orders.dead"), ["poison", "poison"]);
    assert_eq!(trial.committable("orders", 0), Some(6.into()));

    let sink = Sink::new();
    let trial = Trial::new(together!(sink.clone())).unwrap();
    assert_eq!(ends(&trial.feed_batch(ORDERS.map(order)).await), expected);
    assert_eq!(ends(&trial.feed_all(ORDERS.map(order)).await).len(), 6);
    assert_eq!(sink.values("orders.dead"), ["poison"; 4]);
    assert_eq!(trial.committable("orders", 0), Some(12.into()));

    for several in [false, true] {
        let kit = kit(ORDERS).await;
        let running = match several {
            false => kit.run("store", ["orders"], alone!(kit.producer())),
            true => kit.run("store", ["orders"], together!(kit.producer())),
        };
        let running = running.unwrap();
        kit.until_committed("store", "orders", 6).await;
        assert_eq!(ends(&running.processed()), expected);
        assert_eq!(kit.records("orders.dead").unwrap().len(), 2);
        running.stop().await.unwrap();
        kit.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_ends_lets_its_batch_end_and_begins_no_other() {
    let kit = kit(["x"; 30]).await;
    let stack = Stack::new().batch(Batching::up_to(10), async |_: Vec<Text>| {
        sleep(5 * SECOND).await;
    });
    let running = kit.run("store", ["orders"], stack).unwrap();
    sleep(SECOND).await;
    let report = running.stop().await.unwrap();
    assert!(
        report.processed >= 1 && report.processed <= 10,
        "{report:?}"
    );
    assert_eq!(kit.committed("store", "orders"), report.processed);
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_in_batches_each_record_is_done_once_in_order_and_poison_alone_is_written_away()
 {
    let kit = kit([]).await;
    let all = 400;
    for n in 0..all {
        kit.send("orders", "k", n.to_string()).await.unwrap();
    }
    let (done, calls) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
    let noted = Arc::clone(&done);
    let handler = move |batch: Vec<(Offset, Attempt)>| {
        let mut calls = calls.lock();
        *calls += 1;
        let bad = batch
            .iter()
            .position(|(at, attempt)| match at.to_wire() % 37 {
                5 => true,
                11 | 23 => attempt.0 < 3,
                _ => false,
            });
        let answer = match bad {
            // Some record is to blame, and nothing is done.
            Some(_) if batch.len() > 1 && *calls % 3 == 0 => {
                Err(BatchError::all(ProcessError::transient("somebody")))
            }
            Some(at) => {
                let error = match batch[at].0.to_wire() % 37 {
                    5 => ProcessError::poison("no order"),
                    _ => ProcessError::dependency("store", "busy"),
                };
                noted
                    .lock()
                    .extend(batch[..at].iter().map(|(at, _)| at.to_wire()));
                Err(BatchError::failed_from(at, error))
            }
            None => {
                noted
                    .lock()
                    .extend(batch.iter().map(|(at, _)| at.to_wire()));
                Ok(())
            }
        };
        async { answer }
    };
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(RetryLayer::fixed(SECOND).max_attempts(5))
        .layer(TimeoutLayer::new(10 * SECOND))
        .layer(RecoveryLayer::new())
        .batch(Batching::up_to(32), handler);
    let running = kit.run("store", ["orders"], stack).unwrap();
    kit.until_committed("store", "orders", all).await;
    running.stop().await.unwrap();
    let good: Vec<_> = (0..400).filter(|at| at % 37 != 5).collect();
    assert_eq!(*done.lock(), good);
    let letters = kit.records("orders.dead").unwrap();
    let bad: Vec<_> = (0..400).filter(|at| at % 37 == 5).collect();
    let written: Vec<i64> = letters
        .iter()
        .map(|letter| letter.headers.text("milena.origin.offset").unwrap())
        .map(|at| at.parse().unwrap())
        .collect();
    assert_eq!(written, bad);
}
