//! What is judged of what happens, with the clock paused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Address, Error, ErrorKind, Event, Gate, GateState, Gauge, Gauges, NodeId, Observer, Offset,
    RebalancePhase, TopicPartition,
};
use milena_health::{Health, Phase, State};
use parking_lot::Mutex;
use tokio::time::advance;

/// A consumer, a producer and two brokers, as their figures show them.
#[derive(Clone)]
struct World(Arc<Mutex<Figures>>);

struct Figures {
    nodes: Vec<i32>,
    member: bool,
    lag: u64,
    settled: u32,
    paused: Option<&'static str>,
    buffer: u64,
    gates: Vec<Gate>,
}

impl Gauges for World {
    fn read(&self, sink: &mut dyn FnMut(Gauge<'_>)) {
        let figures = self.0.lock();
        let place = TopicPartition::new("orders", 0);
        let (group, partition) = ("billing", &place);
        let address: Address = "kafka:9092".parse().unwrap();
        for node in figures.nodes.iter().map(|id| node(*id)) {
            sink(Gauge::Pool {
                node,
                address: &address,
                size: 0,
                idle: 0,
                waiting: 0,
            });
        }
        sink(Gauge::BufferUsed {
            buffer: "producer",
            used: figures.buffer,
            limit: 1_000,
        });
        sink(Gauge::Member {
            group,
            generation: figures.member.then_some(1),
        });
        sink(Gauge::Lag {
            group,
            partition,
            records: figures.lag,
        });
        sink(Gauge::Settled {
            group,
            partition,
            offset: Offset::from(figures.settled),
        });
        if let Some(by) = figures.paused {
            sink(Gauge::Paused {
                group: "billing",
                partition,
                by,
            });
        }
        for gate in &figures.gates {
            let reason = match gate.state() {
                GateState::Open => None,
                GateState::Closed(reason) => Some(reason),
            };
            sink(Gauge::Gate {
                group: "billing",
                name: gate.name(),
                closed: reason.as_deref(),
            });
        }
    }
}

fn node(id: i32) -> NodeId {
    NodeId::from_wire(id).unwrap()
}

fn error() -> Error {
    Error::new(ErrorKind::Transport, "connection refused")
}

impl World {
    /// All is well with it.
    fn new() -> (Self, Health) {
        let world = Self(Arc::new(Mutex::new(Figures {
            nodes: vec![1, 2],
            member: true,
            lag: 0,
            settled: 0,
            paused: None,
            buffer: 0,
            gates: vec![Gate::new("breaker:payments"), Gate::new("dead-letter:dead")],
        })));
        let health = Health::new();
        health.watch(Arc::new(world.clone()));
        answers(&health, 1);
        answers(&health, 2);
        let report = health.report();
        assert_eq!((report.state, report.phase), (State::Ok, Phase::Running));
        assert!(report.live && report.ready && report.started, "{report:?}");
        (world, health)
    }

    fn set(&self, change: impl FnOnce(&mut Figures)) {
        change(&mut self.0.lock());
    }
}

fn answers(health: &Health, id: i32) {
    health.on(&Event::Request {
        node: Some(node(id)),
        api: "Metadata",
        version: 12,
        elapsed: Duration::from_millis(3),
        sent: 10,
        received: 10,
        error: None,
    });
}

fn refuses(health: &Health, id: i32) {
    health.on(&Event::ConnectFailed {
        node: Some(node(id)),
        address: &"kafka:9092".parse().unwrap(),
        error: &error(),
    });
}

fn state(health: &Health, check: &str) -> State {
    health
        .report()
        .check(check)
        .expect("the check is there")
        .state
}

async fn pass(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
}

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
async fn it_has_started_once_every_consumer_was_a_member() {
    let (world, health) = World::new();
    let fresh = Health::new();
    world.set(|figures| figures.member = false);
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

#[tokio::test(start_paused = true)]
async fn a_lag_without_a_settled_record_is_degraded_then_dead_and_a_settled_record_mends_it() {
    let (world, health) = World::new();
    pass(600).await;
    assert_eq!(
        state(&health, "progress"),
        State::Ok,
        "nothing to do is fine"
    );
    world.set(|figures| figures.lag = 9);
    assert_eq!(state(&health, "progress"), State::Ok);
    pass(59).await;
    assert_eq!(state(&health, "progress"), State::Ok);
    pass(2).await;
    let report = health.report();
    let check = report.check("progress").unwrap();
    assert_eq!(check.state, State::Degraded);
    assert!(check.reason.contains("orders-0 lags 9"), "{}", check.reason);
    assert!(report.live && report.ready);
    pass(240).await;
    let report = health.report();
    assert_eq!(state(&health, "progress"), State::Failing);
    assert!(!report.live && !report.ready, "a restart would help");
    world.set(|figures| figures.settled = 1);
    let report = health.report();
    assert!(report.live && report.ready);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_a_breaker_holds_back_is_degraded_and_never_dead() {
    let (world, health) = World::new();
    world.set(|figures| {
        figures.lag = 9;
        figures.paused = Some("breaker:payments");
        figures.gates[0].close("5 failures in a row");
    });
    let _ = health.report();
    pass(3_600).await;
    let report = health.report();
    assert_eq!(report.state, State::Degraded);
    assert!(report.live && report.ready);
    let breakers = report.check("breakers").unwrap();
    assert_eq!(breakers.reason, "payments: 5 failures in a row");
    let progress = report.check("progress").unwrap();
    assert!(progress.reason.contains("held by breaker:payments"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_topic_that_cannot_be_written_is_failing() {
    let (world, health) = World::new();
    world.set(|figures| figures.gates[1].close("UNKNOWN_TOPIC_OR_PARTITION"));
    let report = health.report();
    assert_eq!(state(&health, "dead_letters"), State::Failing);
    assert!(report.live && !report.ready);
    world.set(|figures| figures.gates[1].open());
    assert_eq!(state(&health, "dead_letters"), State::Ok);
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

#[tokio::test(start_paused = true)]
async fn a_buffer_that_stays_full_is_degraded() {
    let (world, health) = World::new();
    world.set(|figures| figures.buffer = 960);
    assert_eq!(state(&health, "buffer"), State::Ok, "for a moment is fine");
    pass(10).await;
    assert_eq!(state(&health, "buffer"), State::Degraded);
    world.set(|figures| figures.buffer = 400);
    assert_eq!(state(&health, "buffer"), State::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_lane_is_failing_until_its_partition_is_assigned_anew() {
    let (_, health) = World::new();
    let place = TopicPartition::new("orders", 0);
    health.on(&Event::LaneStopped {
        group: "billing",
        partition: &place,
        route: "bill",
        reason: "poison",
    });
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

#[tokio::test(start_paused = true)]
async fn during_a_shutdown_it_is_alive_and_not_ready() {
    let (_, health) = World::new();
    health.shut_down();
    let report = health.report();
    assert_eq!((report.phase, report.state), (Phase::Stopping, State::Ok));
    assert!(report.live && !report.ready && report.started);
    assert_eq!(report.unready(), ["it is shutting down"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_takes_long_is_still_alive() {
    let (world, health) = World::new();
    world.set(|figures| figures.lag = 9);
    let _ = health.report();
    health.shut_down();
    pass(3_600).await;
    let report = health.report();
    assert_eq!(report.state, State::Failing);
    assert!(report.live && !report.ready);
}

#[tokio::test(start_paused = true)]
async fn every_check_is_told_with_its_reason_while_all_is_well() {
    let (_, health) = World::new();
    let report = health.report();
    let names: Vec<_> = report
        .checks
        .iter()
        .map(|check| check.name.as_str())
        .collect();
    let all = [
        "brokers",
        "progress",
        "group",
        "commits",
        "lanes",
        "dead_letters",
        "breakers",
        "buffer",
    ];
    assert_eq!(names, all);
    assert!(report.checks.iter().all(|check| !check.reason.is_empty()));
    assert_eq!(report.unready(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn since_says_when_the_state_last_changed() {
    let (_, health) = World::new();
    let before = health.report().check("brokers").unwrap().since;
    pass(100).await;
    refuses(&health, 1);
    let degraded = health.report().check("brokers").unwrap().since;
    refuses(&health, 1);
    let again = health.report().check("brokers").unwrap().since;
    assert!(degraded.since(again) < Duration::from_secs(1));
    assert!(again.since(degraded) < Duration::from_secs(1));
    assert!(degraded >= before);
}
