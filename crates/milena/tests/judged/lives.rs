//! Health and metrics of consumers that are built, start, are members, or have ended.

use std::sync::Arc;

use milena::broker::{ApiKey, Fault};
use milena::health::State;
use milena::middleware::{DeadLetterLayer, Stack};
use milena::{Outcome, ProcessError, Text};
use tokio::time::sleep;

use crate::bed::{Bed, secs};

#[tokio::test(start_paused = true)]
async fn a_consumer_that_died_is_failing_by_name_and_in_the_end_a_reason_to_restart() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let handler = async |_: Text| Err::<(), _>(ProcessError::fatal("no such tenant"));
    let running = tokio::spawn(async move { consumer.run(handler).await });
    bed.kit.send("orders", "k", "v").await.unwrap();
    running.await.unwrap().unwrap_err();
    sleep(secs(10)).await;
    let report = bed.health.report();
    assert_eq!(bed.state("consumers"), Some(State::Failing), "{report:?}");
    let reason = bed.reason("consumers");
    for part in ["the consumer of billing", "no such tenant"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert!(!report.ready && report.live, "{report:?}");
    assert_eq!(bed.sum(&["milena_consumer_failed{", "billing"]), 1.0);
    assert_eq!(bed.sum(&["milena_consumer_running{", "billing"]), 0.0);

    sleep(secs(600)).await;
    let report = bed.health.report();
    assert!(!report.live && !report.ready, "{report:?}");
    assert_eq!(bed.sum(&["milena_consumer_failed{", "billing"]), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_was_closed_is_missed_by_nobody() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let stop = consumer.shutdown_handle();
    let running = tokio::spawn(async move { consumer.run(async |_: Text| ()).await });
    bed.until("a member", |report| report.check("group").is_some())
        .await;
    sleep(secs(10)).await;
    stop.shutdown();
    running.await.unwrap().unwrap();
    sleep(secs(600)).await;
    let report = bed.health.report();
    assert_eq!(report.state, State::Ok, "{report:?}");
    assert!(report.ready && report.live);
    assert_eq!(bed.sum(&["milena_consumer_failed{"]), 0.0);
    // The metrics of a closed consumer are gone.
    for name in ["lag_records", "members", "lane_depth_records"] {
        assert_eq!(bed.series(&[&format!("milena_consumer_{name}{{")]), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_stops_its_consumer_is_told() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let handler = async |_: Text| Outcome::Stop("the printer is out of paper".into());
    let running = tokio::spawn(async move { consumer.run(handler).await });
    bed.kit.send("orders", "k", "v").await.unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(bed.state("consumers"), Some(State::Failing));
    let reason = bed.reason("consumers");
    assert!(reason.contains("out of paper"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_built_and_not_run_is_no_missing_member() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    for _ in 0..100 {
        sleep(secs(5)).await;
        let report = bed.health.report();
        assert!(report.live && report.started, "{report:?}");
        assert_eq!(report.state, State::Ok, "{report:?}");
    }
    assert_eq!(bed.series(&["milena_consumer_members{"]), 0);
    drop(consumer);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_whose_joins_are_not_answered_is_not_ready_whenever_one_looked_before() {
    let bed = Bed::new(&[("orders", 1)]).await;
    assert!(bed.health.report().ready, "there is nothing to wait for");
    for api in [ApiKey::JoinGroup, ApiKey::ConsumerGroupHeartbeat] {
        let fault = Fault::silence().on(api).always();
        bed.kit.broker().faults().add(fault);
    }
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    let _running = tokio::spawn(async move { consumer.run(async |_: Text| ()).await });
    for _ in 0..30 {
        sleep(secs(1)).await;
        let report = bed.health.report();
        assert!(!report.ready && !report.started, "{report:?}");
        assert_eq!(report.waits_for, ["billing"]);
    }
    bed.kit.broker().faults().clear();
    bed.until("ready", |report| report.ready && report.started)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_member_without_partitions_is_ready() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let mut running = Vec::new();
    for _ in 0..3 {
        let consumer = bed.client.consumer("billing").topics(["orders"]);
        let consumer = consumer.build().unwrap();
        running.push(tokio::spawn(async move {
            consumer.run(async |_: Text| ()).await
        }));
    }
    bed.until("members", |report| {
        let group = report.check("group");
        group.is_some_and(|group| group.reason == "member of billing")
    })
    .await;
    for _ in 0..100 {
        sleep(secs(5)).await;
        let report = bed.health.report();
        assert!(report.ready && report.started, "{report:?}");
        assert_eq!(report.state, State::Ok, "{report:?}");
    }
    assert_eq!(bed.sum(&["milena_consumer_members{"]), 3.0);
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_static_id_is_not_ready_and_fails_by_that_reason() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let member = |client: &milena::Client| {
        let consumer = client.consumer("billing").topics(["orders"]);
        consumer.group_instance_id("till-1").build().unwrap()
    };
    let other = bed.kit.another_client().await.unwrap();
    let first = member(&other);
    let first = tokio::spawn(async move { first.run(async |_: Text| ()).await });
    sleep(secs(10)).await;
    let second = member(&bed.client);
    let second = tokio::spawn(async move { second.run(async |_: Text| ()).await });
    // One of both members is fenced. The health of the second one shows it in either case.
    let mut fenced = None;
    for _ in 0..300 {
        sleep(secs(1)).await;
        let report = bed.health.report();
        if second.is_finished() {
            fenced = Some(report);
            break;
        }
        if first.is_finished() {
            break;
        }
        assert!(!report.ready, "it waits for its id: {report:?}");
    }
    match fenced {
        Some(report) => {
            assert!(!report.ready, "{report:?}");
            let reason = &report.check("consumers").unwrap().reason;
            assert!(reason.contains("billing"), "{reason}");
        }
        None => {
            bed.until("the owner", |report| report.ready).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_groups_that_read_one_topic_are_judged_apart() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let billing = bed.client.consumer("billing").topics(["orders"]);
    let billing = billing
        .on_lane_stop(milena::consumer::LaneStopPolicy::Pause)
        .max_attempts(1);
    let billing = billing.build().unwrap();
    let handler = async |_: Text| Err::<(), _>(ProcessError::poison("no order"));
    let _billing = tokio::spawn(async move { billing.run(handler).await });
    bed.kit.send("orders", "k", "v").await.unwrap();
    bed.until("stopped", |report| {
        let lanes = report.check("lanes");
        lanes.is_some_and(|lanes| lanes.state == State::Failing)
    })
    .await;
    let shipping = bed.client.consumer("shipping").topics(["orders"]);
    let shipping = Arc::new(shipping.build().unwrap());
    let own = Arc::clone(&shipping);
    let _shipping = tokio::spawn(async move { own.run(async |_: Text| ()).await });
    bed.kit.until_committed("shipping", "orders", 1).await;
    sleep(secs(60)).await;
    let report = bed.health.report();
    assert_eq!(bed.state("lanes"), Some(State::Failing), "{report:?}");
    assert!(!report.ready);
    let depth = ["milena_consumer_lane_depth_records{", "billing"];
    assert_eq!(bed.sum(&depth), 1.0);
    let depth = ["milena_consumer_lane_depth_records{", "shipping"];
    assert_eq!(bed.sum(&depth), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_refused_before_it_starts_is_missed() {
    let bed = Bed::new(&[("orders", 1)]).await;
    let consumer = bed.client.consumer("billing").topics(["orders"]);
    let consumer = consumer.build().unwrap();
    // The dead letter topic of this stack does not exist.
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("dead", bed.kit.producer()))
        .handler(async |_: Text| ());
    consumer.run(stack).await.unwrap_err();
    let report = bed.health.report();
    assert_eq!(bed.state("consumers"), Some(State::Failing), "{report:?}");
    let reason = bed.reason("consumers");
    assert!(
        reason.contains("billing") && reason.contains("dead"),
        "{reason}"
    );
    assert!(!report.ready, "{report:?}");
    assert_eq!(bed.sum(&["milena_consumer_failed{"]), 1.0);
    assert_eq!(bed.sum(&["milena_consumer_running{"]), 0.0);
}
