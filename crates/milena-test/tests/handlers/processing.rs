//! Routers, retry topics, batches and dead letters with a client and a broker, in a paused clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_client::consumer::Order;
use milena_client::core::Emitter;
use milena_client::core::{
    Attempt, Gate, Key, Offset, Outcome, ProcessError, ProducerRecord, Text, Topic,
};
use milena_client::dead_letters::LetterFilter;
use milena_client::middleware::batch::Batching;
use milena_client::middleware::{
    DeadLetterLayer, DelayedRetryLayer, EmitLayer, ExpiryLayer, On, RecoveryLayer, RetryLayer,
    RetryTopics, Router, Stack,
};
use milena_test::Kit;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn kit() -> Arc<Kit> {
    let kit = Kit::builder()
        .topic("orders", 2)
        .topic("orders.dead", 1)
        .topic("bills", 2);
    Arc::new(kit.start().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_record_goes_through_its_retry_topics_and_holds_nothing_up() {
    let kit = kit().await;
    let retries = RetryTopics::new([5 * SECOND, 60 * SECOND]);
    let topics = kit
        .client()
        .create_retry_topics(&retries, "orders")
        .await
        .unwrap();
    assert_eq!(topics, ["orders", "orders.retry.5s", "orders.retry.1m"]);
    let again = kit
        .client()
        .create_retry_topics(&retries, "orders")
        .await
        .unwrap();
    assert_eq!(again, topics);

    let began = Instant::now();
    let seen = Arc::new(Mutex::new(
        BTreeMap::<String, Vec<(String, u32, u64)>>::new(),
    ));
    let noted = Arc::clone(&seen);
    let router = Router::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(DelayedRetryLayer::new(retries, kit.producer()))
        .layer(RetryLayer::fixed(SECOND / 10).max_attempts(2))
        .layer(RecoveryLayer::new())
        .route(
            "orders",
            move |Topic(topic): Topic, Attempt(attempt): Attempt, Text(text): Text| {
                let now = began.elapsed().as_secs();
                let mut seen = noted.lock();
                seen.entry(text.clone())
                    .or_default()
                    .push((topic.to_string(), attempt, now));
                async move {
                    match text.as_str() {
                        "never" => Err(ProcessError::dependency("payments", "refused")),
                        "late" if attempt < 3 => Err(ProcessError::transient("not yet")),
                        _ => Ok(()),
                    }
                }
            },
        );
    let running = kit.run("billing", topics, router).unwrap();
    for (n, value) in ["never", "late", "fine", "fine too"]
        .into_iter()
        .enumerate()
    {
        kit.send("orders", format!("k{n}"), value).await.unwrap();
    }
    kit.until_committed("billing", "orders", 4).await;
    assert!(
        began.elapsed() < 4 * SECOND,
        "nothing waits for what failed"
    );
    kit.until_committed("billing", "orders.retry.1m", 1).await;

    let letter = kit.read("orders.dead", 1).await.unwrap().remove(0);
    assert_eq!(letter.value.as_deref(), Some(&b"never"[..]));
    assert_eq!(letter.headers.text("milena.origin.topic"), Some("orders"));
    assert_eq!(letter.headers.text("milena.attempts"), Some("6"));
    let seen = seen.lock().clone();
    let story = |value: &str| {
        let all = seen[value].iter();
        all.map(|(topic, attempt, _)| (topic.as_str(), *attempt))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        story("late"),
        [("orders", 1), ("orders", 2), ("orders.retry.5s", 3)]
    );
    assert_eq!(
        story("never")[4..],
        [("orders.retry.1m", 5), ("orders.retry.1m", 6)]
    );
    let times: Vec<_> = seen["never"].iter().map(|(_, _, at)| *at).collect();
    assert!(
        times[2] - times[1] >= 5 && times[4] - times[3] >= 60,
        "{times:?}"
    );
    assert!(times[5] < 80, "and not much later: {times:?}");
    let report = running.stop().await.unwrap();
    assert_eq!(
        (report.processed, report.forwarded, report.dead_lettered),
        (3, 3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn letters_are_counted_found_and_replayed_and_none_goes_round_for_ever() {
    let kit = kit().await;
    let mended = Arc::new(Mutex::new(false));
    let is_mended = Arc::clone(&mended);
    let stack = || {
        let is_mended = Arc::clone(&is_mended);
        Stack::new()
            .layer(DeadLetterLayer::new("orders.dead", kit.producer()).group("billing"))
            .handler(move |Text(text): Text| {
                let mended = *is_mended.lock();
                async move {
                    match text.as_str() {
                        "poison" => Err(ProcessError::poison("no order")),
                        "timeout" if !mended => Err(ProcessError::timeout("too slow")),
                        _ => Ok(()),
                    }
                }
            })
    };
    let running = kit.run("billing", ["orders"], stack()).unwrap();
    for n in 0..30u32 {
        let value = ["fine", "poison", "timeout"][n as usize % 3];
        kit.send("orders", n.to_string(), value).await.unwrap();
    }
    kit.until_committed("billing", "orders", 30).await;
    let letters = kit.client().dead_letters("orders.dead");
    let line = |class: &str, count| ("orders".to_owned(), class.to_owned(), count);
    let summary = letters.summary(&LetterFilter::new()).await.unwrap();
    assert_eq!(summary, [line("poison", 10), line("timeout", 10)]);

    let slow = LetterFilter::new()
        .origin("orders")
        .class("timeout")
        .group("billing");
    assert_eq!(letters.list(&slow, 4).await.unwrap().len(), 4);
    let one = letters.list(&slow.clone().key("8"), 9).await.unwrap();
    let place = (one[0].record.partition, one[0].record.offset);
    assert_eq!(
        letters.show(place.0, place.1).await.unwrap().as_ref(),
        Some(&one[0])
    );
    assert_eq!(letters.show(place.0, 999).await.unwrap(), None);
    let mut lines = Vec::new();
    assert_eq!(letters.export(&slow, &mut lines).await.unwrap(), 10);
    assert_eq!(String::from_utf8(lines).unwrap().lines().count(), 10);

    *mended.lock() = true;
    let plan = letters.replay(slow.clone()).dry_run().run().await.unwrap();
    assert_eq!(
        (plan.replayed, kit.committed("billing", "orders")),
        (10, 30)
    );
    let began = Instant::now();
    let done = letters.replay(slow).rate(2).run().await.unwrap();
    assert_eq!((done.replayed, done.failed.len()), (10, 0));
    assert!(began.elapsed() >= 4 * SECOND, "two a second");
    kit.until_committed("billing", "orders", 40).await;
    // Sent letters are marked, so another replay, for example in another process, sends none again.
    let slow = LetterFilter::new().class("timeout");
    let repeated = letters.replay(slow.clone()).run().await.unwrap();
    assert_eq!((repeated.replayed, repeated.already), (0, 10));
    let wanted = letters.replay(slow).again().dry_run().run().await.unwrap();
    assert_eq!((wanted.replayed, wanted.already), (10, 0));

    // The poison letter comes back each time, and is skipped in the end.
    let poison = LetterFilter::new().class("poison");
    let mut sent = Vec::new();
    for _ in 0..4 {
        let report = letters
            .replay(poison.clone())
            .max_replays(2)
            .run()
            .await
            .unwrap();
        sent.push((report.replayed, report.already, report.looping));
        let read = 40 + sent.iter().map(|(sent, ..)| sent).sum::<u64>();
        kit.until_committed("billing", "orders", read).await;
    }
    assert_eq!(sent, [(10, 0, 0), (10, 10, 0), (0, 20, 10), (0, 20, 10)]);
    let itself = letters
        .replay(poison)
        .to("orders.dead")
        .run()
        .await
        .unwrap_err();
    assert!(itself.to_string().contains("their own topic"), "{itself}");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_replayed_letter_goes_to_its_own_partition_and_is_not_too_old() {
    let kit = kit().await;
    let mended = Arc::new(Mutex::new(false));
    let is_mended = Arc::clone(&mended);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(ExpiryLayer::after(600 * SECOND))
        .handler(move || {
            let mended = *is_mended.lock();
            async move {
                match mended {
                    false => Err(ProcessError::business("the warehouse is closed")),
                    true => Ok(()),
                }
            }
        });
    let running = kit.run("billing", ["orders"], stack).unwrap();
    // One key is in both partitions, as if another partitioner had chosen them.
    for n in 0..10u32 {
        let record = ProducerRecord::new("orders").key("k").value(n.to_string());
        kit.feed(record.partition(n % 2)).await.unwrap();
    }
    kit.until_committed("billing", "orders", 10).await;
    *mended.lock() = true;
    sleep(3_600 * SECOND).await;
    let letters = kit.client().dead_letters("orders.dead");
    let report = letters.replay(LetterFilter::new()).run().await.unwrap();
    assert_eq!(report.replayed, 10);
    kit.until_committed("billing", "orders", 20).await;
    let inspect = kit.broker().inspect();
    assert_eq!(
        [0, 1].map(|at| inspect.end_offset("orders", at)),
        [Some(10); 2]
    );
    let report = running.stop().await.unwrap();
    assert_eq!((report.processed, report.skipped), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_handler_gets_what_lanes_have_ready_and_every_record_is_committed() {
    let kit = kit().await;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sizes);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(RetryLayer::fixed(SECOND).max_attempts(3))
        .batch(Batching::up_to(50), move |all: Vec<(Offset, Text)>| {
            noted.lock().push(all.len());
            async move {
                let answer = |(_, Text(text)): &(Offset, Text)| match text.as_str() {
                    "bad" => Err(ProcessError::business("no")),
                    _ => Ok(Outcome::Ack),
                };
                all.iter().map(answer).collect::<Vec<_>>()
            }
        });
    for n in 0..200u32 {
        let value = if n % 50 == 7 { "bad" } else { "good" };
        kit.send("orders", n.to_string(), value).await.unwrap();
    }
    let consumer = kit
        .client()
        .consumer("store")
        .topics(["orders"])
        .order(Order::Unordered(25));
    let consumer = consumer.commit_interval(SECOND / 10).build().unwrap();
    let stop = consumer.shutdown_handle();
    let running = tokio::spawn(async move { consumer.run(stack).await });
    kit.until_committed("store", "orders", 200).await;
    stop.shutdown();
    let report = running.await.unwrap().unwrap();
    assert_eq!((report.processed, report.dead_lettered), (196, 4));
    let most = sizes.lock().iter().copied().max();
    assert!(most >= Some(20), "{:?}", sizes.lock());
    assert_eq!(kit.read("orders.dead", 4).await.unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn routes_share_a_consumer_and_one_that_is_held_holds_only_its_own_topic() {
    let kit = kit().await;
    let gate = Gate::new("operator:stocktaking");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let seen = Arc::clone(&seen);
        move |Key(key): Key<String>| {
            seen.lock().push(format!("{name} {key}"));
            async {}
        }
    };
    let router = Router::new()
        .route(
            "orders",
            Stack::new().gate(gate.clone()).handler(note("order")),
        )
        .route("bills", note("bill"))
        .route(
            On::topic("bills").header("kind", "reminder"),
            note("reminder"),
        );
    gate.close("the warehouse is moving");
    let running = kit.run("billing", ["orders", "bills"], router).unwrap();
    kit.send("orders", "1", "x").await.unwrap();
    kit.send("bills", "2", "x").await.unwrap();
    let reminder = ProducerRecord::new("bills")
        .key("3")
        .value("x")
        .header("kind", "reminder");
    kit.producer().send(reminder).await.unwrap();
    kit.until_committed("billing", "bills", 2).await;
    sleep(60 * SECOND).await;
    assert_eq!(kit.committed("billing", "orders"), 0);
    gate.open();
    kit.until_committed("billing", "orders", 1).await;
    let mut seen = seen.lock().clone();
    seen.sort();
    assert_eq!(seen, ["bill 2", "order 1", "reminder 3"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_emits_is_there_before_its_record_is_committed() {
    let kit = kit().await;
    let stack = Stack::new()
        .layer(RetryLayer::fixed(SECOND))
        .layer(EmitLayer::new(kit.producer()))
        .handler(async |Text(order): Text, out: Emitter| {
            out.emit(ProducerRecord::new("bills").value(format!("bill for {order}")));
        });
    let running = kit.run("billing", ["orders"], stack).unwrap();
    for n in 0..10u32 {
        kit.send("orders", n.to_string(), n.to_string())
            .await
            .unwrap();
    }
    kit.until_committed("billing", "orders", 10).await;
    let mut bills: Vec<_> = kit.read("bills", 10).await.unwrap();
    bills.sort_by(|a, b| a.value.cmp(&b.value));
    assert_eq!(bills[7].value.as_deref(), Some(&b"bill for 7"[..]));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_holds_a_partition_is_told_with_reason_and_age() {
    let kit = kit().await;
    let gate = Gate::new("operator:stocktaking");
    let stack = Stack::new()
        .gate(gate.clone())
        .handler(async |_: Offset| ());
    gate.close("the warehouse is moving");
    let consumer = kit
        .client()
        .consumer("billing")
        .topics(["orders"])
        .build()
        .unwrap();
    let consumer = Arc::new(consumer);
    let runs = Arc::clone(&consumer);
    let running = tokio::spawn(async move { runs.run(stack).await });
    while consumer.assignment().len() < 2 {
        sleep(SECOND / 10).await;
    }
    sleep(60 * SECOND).await;
    let pauses = consumer.pauses();
    assert_eq!(pauses.len(), 2, "{pauses:?}");
    for pause in &pauses {
        assert_eq!(
            (&*pause.by, &*pause.reason),
            (gate.name(), "the warehouse is moving")
        );
        assert!(pause.age >= 60 * SECOND, "{pause:?}");
    }
    consumer.pause(&pauses[0].partition).unwrap();
    gate.open();
    sleep(SECOND).await;
    let left = consumer.pauses();
    assert_eq!(
        (left.len(), &*left[0].by),
        (1, "user"),
        "the last holder counts"
    );
    consumer.shutdown_handle().shutdown();
    running.await.unwrap().unwrap();
}
