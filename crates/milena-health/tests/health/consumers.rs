//! The reports about consumers, their groups and their lanes.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    ConsumerEnd, Error, ErrorCode, ErrorKind, Event, Gauge, Gauges, NextStep, Observer,
    RebalancePhase, TopicPartition,
};
use milena_health::{Health, Phase, State};

use crate::bed::{Waits, World, answers, error, pass, refuses, state};
use crate::records::waiting;

#[tokio::test(start_paused = true)]
async fn it_has_started_once_every_consumer_was_a_member() {
    let (world, health) = World::new();
    let fresh = Health::new();
    world.set(|figures| {
        figures.member = false;
        figures.joined = false;
    });
    fresh.watch(Arc::new(world.clone()));
    answers(&fresh, 1);
    let report = fresh.report();
    assert!(!report.started);
    assert_eq!(
        report.unready(),
        ["it is starting: no member yet of billing"]
    );
    world.set(|figures| figures.member = true);
    assert!(fresh.report().started);
    world.set(|figures| figures.member = false);
    assert!(fresh.report().ready, "a rebalance does not undo a start");
    assert!(health.report().ready);
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_that_does_not_end_is_degraded_then_dead() {
    let (world, health) = World::new();
    world.set(|figures| figures.member = false);
    let _ = health.report();
    pass(61).await;
    assert_eq!(state(&health, "group"), State::Degraded);
    pass(240).await;
    assert!(!health.report().live);
    refuses(&health, 1);
    refuses(&health, 2);
    assert!(health.report().live, "a restart does not bring Kafka back");
}

#[tokio::test(start_paused = true)]
async fn commits_that_keep_failing_are_degraded_and_one_that_is_answered_mends_it() {
    let (_, health) = World::new();
    let failure = error();
    let commit = |error| {
        health.on(&Event::Commit {
            group: "billing",
            partitions: 1,
            elapsed: Duration::ZERO,
            error,
        });
    };
    commit(Some(&failure));
    assert_eq!(state(&health, "commits"), State::Ok);
    pass(31).await;
    commit(Some(&failure));
    assert_eq!(state(&health, "commits"), State::Degraded);
    commit(None);
    assert_eq!(state(&health, "commits"), State::Ok);
}

/// Returns a health that has heard of a stopped lane, and the partition of that lane.
fn with_a_stopped_lane() -> (Health, TopicPartition) {
    let (_, health) = World::new();
    let place = TopicPartition::new("orders", 0);
    health.on(&Event::LaneStopped {
        group: "billing",
        partition: &place,
        route: "bill",
        reason: "poison",
    });
    (health, place)
}

#[tokio::test(start_paused = true)]
async fn a_stopped_lane_is_failing_until_its_partition_is_assigned_anew() {
    let (health, place) = with_a_stopped_lane();
    let report = health.report();
    assert!(!report.ready && report.live);
    assert!(
        report
            .check("lanes")
            .unwrap()
            .reason
            .contains("route bill: poison")
    );
    health.on(&Event::Rebalance {
        group: "billing",
        generation: 2,
        phase: RebalancePhase::Assigned,
        partitions: &[place],
    });
    assert_eq!(health.report().state, State::Ok);
}

fn ends(health: &Health, group: &str, end: ConsumerEnd<'_>) {
    health.on(&Event::ConsumerEnded { group, end });
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_ended_is_failing_and_after_a_while_dead_until_another_is_started() {
    let health = Health::new();
    answers(&health, 1);
    let group = "billing";
    health.on(&Event::ConsumerStarted { group });
    let report = health.report();
    assert_eq!(
        report.check("consumers").unwrap().reason,
        "running for billing"
    );
    let failed = Error::broker(ErrorCode::FENCED_INSTANCE_ID);
    ends(&health, group, ConsumerEnd::Failed(&failed));
    pass(60).await;
    let report = health.report();
    let check = report.check("consumers").unwrap();
    assert_eq!(check.state, State::Failing);
    assert!(
        check
            .reason
            .starts_with("the consumer of billing ended 60 s ago and was not replaced: ")
            && check.reason.contains("FENCED_INSTANCE_ID"),
        "{}",
        check.reason
    );
    assert!(
        !report.ready && report.live,
        "its program may start another"
    );
    pass(240).await;
    assert!(!health.report().live, "it does not");
    health.on(&Event::ConsumerStarted { group });
    let report = health.report();
    assert!(report.live && report.ready, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_its_handler_stopped_is_missed_and_one_that_was_closed_is_not() {
    let health = Health::new();
    answers(&health, 1);
    for group in ["billing", "shipping"] {
        health.on(&Event::ConsumerStarted { group });
    }
    ends(&health, "shipping", ConsumerEnd::Closed);
    assert_eq!(state(&health, "consumers"), State::Ok);
    ends(&health, "billing", ConsumerEnd::Stopped("no paper"));
    let report = health.report();
    let reason = &report.check("consumers").unwrap().reason;
    assert!(
        reason.contains("billing") && reason.contains("no paper"),
        "{reason}"
    );
    assert!(!reason.contains("shipping"), "{reason}");
    assert!(!report.ready);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_failed_is_missed_though_its_client_was_dropped_with_it() {
    let health = Health::new();
    let client = health.join();
    let failed = Error::new(ErrorKind::Fenced, "another member took its place");
    client
        .observer()
        .on(&Event::ConsumerStarted { group: "billing" });
    client.observer().on(&Event::ConsumerEnded {
        group: "billing",
        end: ConsumerEnd::Failed(&failed),
    });
    drop(client);
    assert_eq!(state(&health, "consumers"), State::Failing);
    let next = health.join();
    next.observer()
        .on(&Event::ConsumerStarted { group: "billing" });
    assert_eq!(state(&health, "consumers"), State::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_look_before_a_consumer_is_started_does_not_make_it_ready_for_ever() {
    let health = Health::new();
    answers(&health, 1);
    assert!(health.report().ready, "nothing is missing so far");
    let (world, _) = World::new();
    world.set(|figures| {
        figures.member = false;
        figures.joined = false;
    });
    health.watch(Arc::new(world.clone()));
    let report = health.report();
    assert!(!report.ready && !report.started, "{report:?}");
    assert_eq!(report.phase, Phase::Starting);
    world.set(|figures| figures.member = true);
    assert!(health.report().ready);
}

#[tokio::test(start_paused = true)]
async fn a_lane_of_one_group_stays_stopped_whatever_another_group_is_assigned() {
    let (health, place) = with_a_stopped_lane();
    health.on(&Event::Rebalance {
        group: "shipping",
        generation: 2,
        phase: RebalancePhase::Assigned,
        partitions: std::slice::from_ref(&place),
    });
    health.on(&Event::Resumed {
        group: "shipping",
        partition: &place,
    });
    assert_eq!(state(&health, "lanes"), State::Failing);
    health.on(&Event::Rebalance {
        group: "billing",
        generation: 3,
        phase: RebalancePhase::Revoked,
        partitions: &[place],
    });
    assert_eq!(state(&health, "lanes"), State::Ok, "it is another member's");
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_one_group_excuses_no_other() {
    struct Paused;
    impl Gauges for Paused {
        fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
            let place = TopicPartition::new("orders", 0);
            sink(Gauge::Paused {
                group: "shipping",
                partition: &place,
                by: "operator",
            });
        }
    }
    let (_, health) = waiting(Waits::Step(NextStep::Lane), 600).await;
    health.watch(Arc::new(Paused));
    let report = health.report();
    assert!(!report.live, "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn commits_that_are_refused_for_good_are_told_at_once() {
    let (_, health) = World::new();
    let refused = Error::broker(ErrorCode::OFFSET_METADATA_TOO_LARGE);
    health.on(&Event::Commit {
        group: "billing",
        partitions: 1,
        elapsed: Duration::ZERO,
        error: Some(&refused),
    });
    let report = health.report();
    let check = report.check("commits").unwrap();
    assert_eq!(check.state, State::Degraded, "{report:?}");
    assert!(
        check.reason.contains("OFFSET_METADATA_TOO_LARGE"),
        "{}",
        check.reason
    );
    pass(31).await;
    let report = health.report();
    assert_eq!(state(&health, "commits"), State::Failing);
    assert!(report.live, "a restart sends the same");
}
