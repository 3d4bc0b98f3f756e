//! The reports about brokers.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Event, Gauge, Gauges};
use milena_health::{Health, Phase, State};

use crate::bed::{World, answers, error, node, pass, refuses, state};

#[tokio::test(start_paused = true)]
async fn before_any_broker_answers_it_has_not_started_and_is_alive() {
    let health = Health::new();
    let report = health.report();
    assert_eq!(report.phase, Phase::Starting);
    assert!(report.live && !report.ready && !report.started);
    answers(&health, 1);
    assert!(health.report().ready);
}

#[tokio::test(start_paused = true)]
async fn one_broker_down_is_degraded_and_all_down_is_failing_but_alive() {
    let (_, health) = World::new();
    refuses(&health, 2);
    let report = health.report();
    assert!(report.ready && report.live);
    let check = report.check("brokers").unwrap();
    assert_eq!(check.state, State::Degraded);
    assert!(check.reason.contains("broker 2"), "{}", check.reason);
    assert!(
        check.reason.contains("connection refused"),
        "{}",
        check.reason
    );

    refuses(&health, 1);
    let report = health.report();
    assert_eq!(report.state, State::Failing);
    assert!(!report.ready && report.live);

    answers(&health, 1);
    answers(&health, 2);
    let report = health.report();
    let check = report.check("brokers").unwrap();
    assert_eq!(report.state, State::Ok);
    assert_eq!(check.reason, "2 of 2 answer, the slowest in 3 ms");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_left_the_cluster_is_missed_for_a_while() {
    let (world, health) = World::new();
    world.set(|figures| figures.nodes = vec![1]);
    pass(10).await;
    let report = health.report();
    let check = report.check("brokers").unwrap();
    assert_eq!(check.state, State::Degraded);
    assert!(check.reason.contains("broker 2 left"), "{}", check.reason);
    world.set(|figures| figures.nodes = vec![1, 2]);
    assert_eq!(state(&health, "brokers"), State::Ok);
    world.set(|figures| figures.nodes = vec![1]);
    pass(901).await;
    assert_eq!(state(&health, "brokers"), State::Ok, "taken away for good");
}

/// Two clusters use the same broker ids.
#[tokio::test(start_paused = true)]
async fn a_broker_of_one_cluster_does_not_speak_for_that_of_another() {
    struct Cluster(&'static str);
    impl Gauges for Cluster {
        fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
            sink(Gauge::Pool {
                node: node(1),
                address: &self.0.parse().unwrap(),
                size: 0,
                idle: 0,
                waiting: 0,
            });
        }
    }
    let answer = Event::Request {
        node: Some(node(1)),
        api: "Metadata",
        version: 12,
        elapsed: Duration::from_millis(3),
        sent: 10,
        received: 10,
        error: None,
    };
    let health = Health::new();
    let (east, west) = (health.join(), health.join());
    east.watch(Arc::new(Cluster("east:9092")));
    west.watch(Arc::new(Cluster("west:9092")));
    east.observer().on(&answer);
    assert!(!health.report().ready, "west has not answered yet");
    west.observer().on(&answer);
    let report = health.report();
    assert!(report.ready, "{report:?}");
    let reason = &report.check("brokers").unwrap().reason;
    assert!(reason.starts_with("2 of 2 answer"), "{reason}");

    west.observer().on(&Event::ConnectFailed {
        node: Some(node(1)),
        address: &"west:9092".parse().unwrap(),
        error: &error(),
    });
    for _ in 0..10 {
        pass(60).await;
        east.observer().on(&answer);
        assert_eq!(state(&health, "brokers"), State::Failing);
    }
    let report = health.report();
    let reason = &report.check("brokers").unwrap().reason;
    assert!(
        reason.starts_with("1 of 2 do not answer: broker 1 for 10 min"),
        "{reason}"
    );
    west.close();
    drop(west);
    assert_eq!(state(&health, "brokers"), State::Ok);
}

#[tokio::test(start_paused = true)]
async fn two_clients_of_one_cluster_see_its_brokers_once() {
    let health = Health::new();
    let clients = [health.join(), health.join()];
    let (world, _) = World::new();
    for client in &clients {
        client.watch(Arc::new(world.clone()));
        for id in [1, 2] {
            client.observer().on(&Event::Connected {
                node: Some(node(id)),
                address: &"kafka:9092".parse().unwrap(),
                elapsed: Duration::ZERO,
            });
        }
    }
    let report = health.report();
    let reason = &report.check("brokers").unwrap().reason;
    assert_eq!(reason, "2 of 2 answer");
}
