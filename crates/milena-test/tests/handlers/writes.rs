//! The topics that a stack writes to must exist before the first record, and are never read by a
//! pattern.

use std::sync::Arc;
use std::time::Duration;

use milena_client::admin::NewTopic;
use milena_client::consumer::ConsumerBuilder;
use milena_client::core::{Attempt, ErrorKind, Event, Outcome, ProcessError, ProducerRecord, Text};
use milena_client::middleware::{
    DeadLetterLayer, DelayedRetryLayer, EmitLayer, ExpiryLayer, RetryTopics, Stack,
};
use milena_test::{Kit, Sink};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

async fn kit(topics: &[&str]) -> Kit {
    let builder = Kit::builder();
    let builder = topics
        .iter()
        .fold(builder, |kit, topic| kit.topic(*topic, 3));
    builder.start().await.unwrap()
}

async fn fails() -> Result<(), ProcessError> {
    Err(ProcessError::transient("not yet"))
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_missing_is_told_before_the_first_record_with_the_command_that_makes_it() {
    let kit = kit(&["orders"]).await;
    kit.send("orders", "k", "v").await.unwrap();
    let retries = RetryTopics::new([5 * SECOND]);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(DelayedRetryLayer::new(retries, kit.producer()))
        .layer(EmitLayer::new(kit.producer()).add_topics(["bills"]))
        .handler(fails);
    let began = Instant::now();
    let running = kit.run("billing", ["orders"], stack).unwrap();
    let error = running.ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    let text = error.to_string();
    for topic in ["orders.dead", "orders.retry.5s", "bills"] {
        let command = format!("`milena topics create {topic} --partitions 3`");
        assert!(text.contains(&command), "{text}");
    }
    assert_eq!(kit.committed("billing", "orders"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_makes_the_topics_of_a_stack_and_names_those_to_read() {
    let kit = kit(&["orders"]).await;
    let retries = RetryTopics::new([5 * SECOND, 60 * SECOND]);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(DelayedRetryLayer::new(retries, kit.producer()))
        .handler(fails);
    let client = kit.client();
    let topics = client.create_topics_for(&stack, ["orders"]).await.unwrap();
    assert_eq!(topics, ["orders", "orders.retry.5s", "orders.retry.1m"]);
    let again = client.create_topics_for(&stack, ["orders"]).await.unwrap();
    assert_eq!(again, topics);
    assert_eq!(kit.broker().inspect().partitions("orders.dead"), 3);

    // Without a clock of its own the stack uses the consumer's, which is the kit's clock.
    let began = Instant::now();
    let running = kit.run("billing", topics, stack).unwrap();
    kit.send("orders", "k", "v").await.unwrap();
    let letter = kit.read("orders.dead", 1).await.unwrap().remove(0);
    assert_eq!(letter.headers.text("milena.origin.topic"), Some("orders"));
    let (least, most) = (65 * SECOND, 75 * SECOND);
    assert!(
        began.elapsed() >= least && began.elapsed() < most,
        "{:?}",
        began.elapsed()
    );
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_retry_topic_that_goes_away_is_told_with_its_command_and_no_record_is_lost_meanwhile() {
    let kit = kit(&["orders", "orders.dead"]).await;
    let retries = RetryTopics::new([5 * SECOND]);
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", kit.producer()))
        .layer(DelayedRetryLayer::new(retries, kit.producer()))
        .handler(async |Attempt(attempt): Attempt| match attempt {
            1 => Err(ProcessError::transient("not yet")),
            _ => Ok(()),
        });
    let client = kit.client();
    let topics = client.create_topics_for(&stack, ["orders"]).await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&told);
    let observer = move |event: &Event<'_>| {
        if let Event::GateClosed { reason, .. } = event {
            noted.lock().push(reason.to_string());
        }
    };
    let watched = |consumer: ConsumerBuilder| consumer.add_observer(Arc::new(observer));
    let running = kit.run_with("billing", topics, stack, watched).unwrap();
    kit.send("orders", "k", "before").await.unwrap();
    kit.until_committed("billing", "orders.retry.5s", 1).await;

    // The topic is deleted, as if the broker had lost its state or a user had cleaned up.
    assert!(kit.broker().inspect().delete_topic("orders.retry.5s"));
    for number in 0..20 {
        let key = format!("k{number}");
        kit.send("orders", key, "meanwhile").await.unwrap();
    }
    sleep(120 * SECOND).await;
    assert_eq!(kit.committed("billing", "orders"), 1, "they wait");
    let command = "`milena topics create orders.retry.5s`";
    let reasons = told.lock().clone();
    assert!(
        reasons.iter().any(|reason| reason.contains(command)),
        "{reasons:?}"
    );

    // Once the topic is created again, as the reason says, the records go on by themselves.
    let topic = NewTopic::new("orders.retry.5s").partitions(3);
    let made = client.admin().create_topics([topic]).await.unwrap();
    made.all().unwrap();
    kit.until_committed("billing", "orders", 21).await;
    kit.until_committed("billing", "orders.retry.5s", 20).await;
    let report = running.stop().await.unwrap();
    assert_eq!(report.dead_lettered, 0);
    assert_eq!((report.forwarded, report.processed), (21, 21));
}

#[tokio::test(start_paused = true)]
async fn age_is_counted_by_the_consumers_clock() {
    let kit = kit(&["prices"]).await;
    let stack = Stack::new()
        .layer(ExpiryLayer::after(60 * SECOND))
        .handler(async |_: Text| ());
    let running = kit.run("shop", ["prices"], stack).unwrap();
    let sent = kit.send("prices", "k", "v").await.unwrap();
    let fresh = running.until_settled(&sent).await;
    assert_eq!(fresh.outcome(), &Outcome::Ack);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sink_on_another_cluster_is_not_looked_for_here() {
    let kit = kit(&["orders"]).await;
    let sink = Sink::new();
    let layer = DeadLetterLayer::new("orders.dead", sink.clone()).on_another_cluster();
    let stack = Stack::new().layer(layer).handler(fails);
    let running = kit.run("billing", ["orders"], stack).unwrap();
    let sent = kit
        .feed(ProducerRecord::new("orders").value("v"))
        .await
        .unwrap();
    running.until_settled(&sent).await;
    assert_eq!(sink.of("orders.dead").len(), 1);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pattern_that_takes_in_the_stacks_own_dead_letters_is_refused_by_name() {
    let kit = kit(&["ord1", "ord1.dead", "ord1.retry.5s"]).await;
    for (pattern, refused) in [("ord.*", true), ("ord[0-9]+(\\.retry\\..*)?", false)] {
        let retries = RetryTopics::new([5 * SECOND]);
        let stack = Stack::new()
            .layer(DeadLetterLayer::new("ord1.dead", kit.producer()))
            .layer(DelayedRetryLayer::new(retries, kit.producer()))
            .handler(fails);
        let none = std::iter::empty::<&str>();
        let running = kit.run_with("billing", none, stack, |consumer| {
            consumer.topic_pattern(pattern)
        });
        let running = running.unwrap();
        if refused {
            let text = running.ended().await.unwrap_err().to_string();
            assert!(text.contains("`ord.*` matches `ord1.dead`"), "{text}");
        } else {
            kit.send("ord1", "k", "v").await.unwrap();
            kit.read("ord1.dead", 1).await.unwrap();
            running.stop().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_no_topic_can_have_is_refused_before_anything_is_written() {
    let sink = Sink::new();
    for group in ["dc-1/x", "a b", "ä"] {
        let retries = RetryTopics::new([5 * SECOND]).for_group(group);
        let layer = DelayedRetryLayer::new(retries, sink.clone());
        let error = Stack::new()
            .layer(layer)
            .handler(fails)
            .check()
            .unwrap_err();
        assert!(error.to_string().contains(group), "{error}");
    }
    let layer = DeadLetterLayer::new("a b", sink.clone());
    let error = Stack::new()
        .layer(layer)
        .handler(fails)
        .check()
        .unwrap_err();
    assert!(error.to_string().contains("`a b`"), "{error}");

    // With the suffix a name may become too long. This is reported once the topics are known.
    let long = "o".repeat(245);
    let kit = kit(&[&long]).await;
    let retries = RetryTopics::new([5 * SECOND]);
    let stack = Stack::new()
        .layer(DelayedRetryLayer::new(retries, kit.producer()))
        .handler(fails);
    let running = kit.run("billing", [long.as_str()], stack).unwrap();
    let text = running.ended().await.unwrap_err().to_string();
    assert!(text.contains("at most 249 characters"), "{text}");
}
