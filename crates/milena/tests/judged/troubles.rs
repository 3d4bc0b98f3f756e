//! Failures are counted, logged at once, and reported within five seconds.

use milena::broker::{ApiKey, Broker, Fault};
use milena::core::ErrorCode;
use milena::health::{Health, State};
use milena::middleware::{DeadLetterLayer, Stack};
use milena::{Client, ProcessError, ProducerRecord, Text};
use tokio::time::{Instant, sleep};

use crate::bed::{Bed, Log, secs};

/// Starts a consumer, and waits until health and progress are well.
async fn at_work(bed: &Bed) {
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    tokio::spawn(async move { consumer.run(async |_: Text| ()).await });
    bed.kit.send("orders", "k", "v").await.unwrap();
    bed.kit.until_committed("billing", "orders", 1).await;
    sleep(secs(10)).await;
    assert_eq!(bed.health.report().state, State::Ok);
}

#[tokio::test(start_paused = true)]
async fn fetches_that_a_broker_refuses_are_told_within_five_seconds() {
    for code in [
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ] {
        let log = Log::new();
        let bed = Bed::new(&[("orders", 2)]).await;
        at_work(&bed).await;
        let fault = Fault::error(code).on(ApiKey::Fetch);
        let fault = fault.topic("orders").partition(0).always();
        let faults = bed.kit.broker().faults();
        faults.add(fault);
        let began = Instant::now();
        for _ in 0..100 {
            let record = ProducerRecord::new("orders").partition(0).value("v");
            bed.kit.feed(record).await.unwrap();
        }
        let told = bed
            .until("degraded", |report| {
                let fetches = report.check("fetches").unwrap();
                fetches.state == State::Degraded
            })
            .await;
        assert!(told <= secs(5), "{told:?}");
        let name = code.name().unwrap();
        let reason = bed.reason("fetches");
        assert!(
            reason.starts_with("1 partition cannot be fetched: orders-0 for")
                && reason.contains(name),
            "{reason}"
        );
        let kind = format!("kind=\"{name}\"");
        let errors = [
            "milena_fetch_errors_total{group=\"billing\"",
            &kind,
            "orders",
        ];
        assert!(bed.sum(&errors) >= 1.0);
        let logged = log.first(&["cannot be fetched", name]);
        let logged = logged.unwrap_or_else(|| panic!("{:#?}", log.all())) - began;
        assert!(logged <= secs(5), "{logged:?}");

        sleep(secs(600)).await;
        let report = bed.health.report();
        assert_eq!(bed.state("fetches"), Some(State::Failing), "{report:?}");
        assert!(report.live && !report.ready, "{report:?}");
        assert!(bed.sum(&errors) >= 10.0);
        let trouble = "milena_consumer_fetch_trouble_seconds{";
        assert!(bed.sum(&[trouble, "orders"]) > 590.0);

        faults.clear();
        bed.until("well", |report| report.state == State::Ok).await;
        bed.kit.until_committed("billing", "orders", 101).await;
        assert_eq!(bed.series(&[trouble]), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn fetches_that_are_not_answered_are_told_and_pass_with_the_broker() {
    let bed = Bed::new(&[("orders", 2)]).await;
    at_work(&bed).await;
    let faults = bed.kit.broker().faults();
    faults.add(Fault::disconnect().on(ApiKey::Fetch).always());
    let told = bed
        .until("degraded", |report| {
            report.check("fetches").unwrap().state != State::Ok
        })
        .await;
    assert!(told <= secs(5), "{told:?}");
    let errors = ["milena_fetch_errors_total{group=\"billing\""];
    assert!(bed.sum(&errors) >= 1.0);
    faults.clear();
    bed.until("well", |report| report.state == State::Ok).await;
    // No new record comes. An answer without data of a partition ends its trouble too.
    sleep(secs(60)).await;
    assert_eq!(bed.state("fetches"), Some(State::Ok));
}

#[tokio::test(start_paused = true)]
async fn positions_that_cannot_be_looked_up_are_told_within_five_seconds() {
    for api in [ApiKey::OffsetFetch, ApiKey::ListOffsets] {
        let log = Log::new();
        let bed = Bed::new(&[("orders", 1)]).await;
        let code = match api {
            ApiKey::OffsetFetch => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            _ => ErrorCode::KAFKA_STORAGE_ERROR,
        };
        let faults = bed.kit.broker().faults();
        faults.add(Fault::error(code).on(api).always());
        bed.kit.send("orders", "k", "v").await.unwrap();
        let consumer = bed.client.consumer("billing").topics(["orders"]);
        let consumer = consumer.build().unwrap();
        tokio::spawn(async move { consumer.run(async |_: Text| ()).await });
        bed.until("a member", |report| {
            let group = report.check("group");
            group.is_some_and(|group| group.reason == "member of billing")
        })
        .await;
        let told = bed
            .until("told", |report| {
                report.check("fetches").unwrap().state != State::Ok
            })
            .await;
        assert!(told <= secs(5), "{api:?}: {told:?}");
        let errors = ["milena_lookup_errors_total{group=\"billing\"", "orders"];
        assert!(bed.sum(&errors) >= 1.0, "{api:?}");
        assert!(log.first(&["looked up", code.name().unwrap()]).is_some());
        faults.clear();
        bed.kit.until_committed("billing", "orders", 1).await;
        bed.until("well", |report| report.state == State::Ok).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_cannot_be_dialed_is_told_within_five_seconds_though_nobody_uses_it() {
    let log = Log::new();
    let bed = Bed::new(&[("orders", 1)]).await;
    sleep(secs(10)).await;
    assert_eq!(bed.health.report().state, State::Ok);
    let began = Instant::now();
    bed.kit.broker().inspect().broker_down(1);
    let told = bed
        .until("failing", |report| report.state == State::Failing)
        .await;
    assert!(told <= secs(5), "{told:?}");
    assert!(bed.sum(&["milena_connections_failed_total{"]) >= 1.0);
    let reason = bed.reason("brokers");
    assert!(reason.contains("broker 1"), "{reason}");
    let logged = log.first(&["broker", "1"]);
    let logged = logged.unwrap_or_else(|| panic!("{:#?}", log.all())) - began;
    assert!(logged <= secs(5), "{logged:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_cannot_be_written_is_told_within_five_seconds() {
    let log = Log::new();
    let bed = Bed::new(&[("orders", 1), ("dead", 1)]).await;
    let faults = bed.kit.broker().faults();
    let fault = Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS).on(ApiKey::Produce);
    faults.add(fault.topic("dead").always());
    let producer = bed.client.producer().build().unwrap();
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", producer))
        .handler(async |_: Text| Err::<(), _>(ProcessError::business("no credit")));
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    tokio::spawn(async move { consumer.run(stack).await });
    bed.until("a member", |report| {
        let group = report.check("group");
        group.is_some_and(|group| group.reason == "member of billing")
    })
    .await;
    sleep(secs(5)).await;
    let began = Instant::now();
    bed.kit.send("orders", "k", "v").await.unwrap();
    let told = bed
        .until("red", |report| {
            report.check("dead_letters").unwrap().state == State::Failing
        })
        .await;
    assert!(told <= secs(5), "{told:?}");
    let closings = ["milena_gate_closings_total{gate=\"dead-letter:dead\""];
    assert!(bed.sum(&closings) >= 1.0);
    let logged = log.first(&["dead"]);
    let logged = logged.unwrap_or_else(|| panic!("{:#?}", log.all())) - began;
    assert!(logged <= secs(5), "{logged:?}");
    faults.clear();
    bed.kit.until_committed("billing", "orders", 1).await;
    bed.until("well", |report| report.state == State::Ok).await;
}

#[tokio::test(start_paused = true)]
async fn commits_that_are_refused_for_good_are_told_and_counted() {
    let bed = Bed::new(&[("orders", 1)]).await;
    at_work(&bed).await;
    let code = ErrorCode::OFFSET_METADATA_TOO_LARGE;
    let faults = bed.kit.broker().faults();
    faults.add(Fault::error(code).on(ApiKey::OffsetCommit).always());
    bed.kit.send("orders", "k", "v").await.unwrap();
    let told = bed.until("told", |report| report.state != State::Ok).await;
    assert!(told <= secs(5), "{told:?}");
    let report = bed.health.report();
    assert!(
        report
            .reasons()
            .iter()
            .any(|reason| reason.contains("OFFSET_METADATA_TOO_LARGE")),
        "{report:?}"
    );
    assert!(bed.sum(&["milena_consumer_commits_total{", "error"]) >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_of_one_cluster_does_not_speak_for_that_of_another() {
    let health = Health::new();
    let mut all = Vec::new();
    for _ in 0..2 {
        let broker = Broker::builder().topic("orders", 1).start().await.unwrap();
        let client = Client::builder()
            .bootstrap(broker.bootstrap())
            .connector(broker.dialer())
            .health(&health);
        all.push((client.connect().await.unwrap(), broker));
    }
    sleep(secs(10)).await;
    assert!(health.report().ready);
    all[1].1.inspect().broker_down(1);
    sleep(secs(10)).await;
    for _ in 0..600 {
        sleep(secs(1)).await;
        let report = health.report();
        assert_eq!(report.state, State::Failing, "{report:?}");
    }
    let report = health.report();
    let reason = &report.check("brokers").unwrap().reason;
    assert!(reason.contains("broker 1 for 10 min"), "{reason}");
}
