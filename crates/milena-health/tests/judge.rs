//! The reports that follow from events and figures, with the clock paused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Address, ConsumerEnd, Error, ErrorCode, ErrorKind, Event, Gate, GateState, Gauge, Gauges,
    NextStep, NodeId, Observer, Offset, RebalancePhase, RecordState, TopicPartition,
};
use milena_health::{Health, Phase, State};
use parking_lot::Mutex;
use tokio::time::{Instant, advance};

/// The figures of a consumer, a producer and two brokers.
#[derive(Clone)]
struct World(Arc<Mutex<Figures>>);

struct Figures {
    /// The ids of the brokers in the cluster.
    nodes: Vec<i32>,
    member: bool,
    joined: bool,
    /// The time since when `member` has its value.
    member_since: Instant,
    lag: u64,
    /// The next step that the partition waits for while it lags.
    waits: Waits,
    /// The time since when `waits` has its value.
    waits_since: Instant,
    trouble: Option<(Instant, Error)>,
    settled: u32,
    paused: Option<&'static str>,
    buffer: u64,
    buffer_waited: Option<Instant>,
    gates: Vec<Gate>,
}

#[derive(Clone, Copy)]
enum Waits {
    Step(NextStep),
    Record(RecordState<'static>),
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
            waited: figures.buffer_waited.map(|since| since.elapsed()),
        });
        sink(Gauge::Member {
            group,
            generation: figures.member.then_some(1),
            joined: figures.joined,
            age: figures.member_since.elapsed(),
        });
        let age = figures.waits_since.elapsed();
        match figures.waits {
            _ if figures.lag == 0 => {}
            Waits::Step(next) => sink(Gauge::Undelivered {
                group,
                partition,
                age,
                next,
            }),
            Waits::Record(state) => sink(Gauge::OldestUnsettled {
                group,
                partition,
                offset: Offset::from(figures.settled),
                age,
                state,
            }),
        }
        if let Some((since, error)) = &figures.trouble {
            sink(Gauge::FetchTrouble {
                group,
                partition,
                age: since.elapsed(),
                error,
            });
        }
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
    /// Makes a world in which all is well.
    fn new() -> (Self, Health) {
        let world = Self(Arc::new(Mutex::new(Figures {
            nodes: vec![1, 2],
            member: true,
            joined: true,
            member_since: Instant::now(),
            lag: 0,
            settled: 0,
            waits: Waits::Step(NextStep::Lane),
            waits_since: Instant::now(),
            trouble: None,
            paused: None,
            buffer: 0,
            buffer_waited: None,
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
        let mut figures = self.0.lock();
        let before = (figures.member, figures.lag > 0, figures.settled);
        change(&mut figures);
        if before.0 != figures.member {
            figures.member_since = Instant::now();
            figures.joined |= figures.member;
        }
        if (before.1, before.2) != (figures.lag > 0, figures.settled) {
            figures.waits_since = Instant::now();
        }
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
    assert_eq!(
        check.reason,
        "orders-0 of billing: no lane takes the fetched records for 61 s, 9 records behind"
    );
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
    world.set(|figures| {
        figures.buffer = 960;
        figures.buffer_waited = Some(Instant::now());
    });
    assert_eq!(state(&health, "buffer"), State::Ok, "for a moment is fine");
    pass(10).await;
    assert_eq!(state(&health, "buffer"), State::Degraded);
    world.set(|figures| {
        figures.buffer = 400;
        figures.buffer_waited = None;
    });
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
        "fetches",
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

/// Makes a world whose partition has lagged for `seconds` before the first look.
async fn waiting(waits: Waits, seconds: u64) -> (World, Health) {
    let (world, _) = World::new();
    world.set(|figures| {
        figures.lag = 9;
        figures.waits = waits;
    });
    pass(seconds).await;
    let health = Health::new();
    health.watch(Arc::new(world.clone()));
    answers(&health, 1);
    answers(&health, 2);
    (world, health)
}

#[tokio::test(start_paused = true)]
async fn the_first_look_knows_how_long_nothing_has_moved() {
    let (_, health) = waiting(Waits::Step(NextStep::Lane), 900).await;
    let report = health.report();
    assert_eq!(state(&health, "progress"), State::Failing, "{report:?}");
    assert!(!report.live);

    let (world, _) = World::new();
    world.set(|figures| figures.member = false);
    pass(900).await;
    let health = Health::new();
    health.watch(Arc::new(world));
    answers(&health, 1);
    answers(&health, 2);
    assert!(!health.report().live, "{:?}", health.report());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_takes_ten_minutes_is_degraded_and_alive() {
    let waits = Waits::Record(RecordState::InHandler { route: "bill" });
    let (_, health) = waiting(waits, 600).await;
    let report = health.report();
    assert!(report.live && report.ready, "{report:?}");
    let check = report.check("progress").unwrap();
    assert_eq!(check.state, State::Degraded);
    assert_eq!(
        check.reason,
        "orders-0 of billing: record 0 is with the handler of route bill for 10 min, 9 records behind"
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_held_until_its_time_is_well_and_its_time_is_told() {
    let left = Duration::from_secs(180);
    let waits = Waits::Record(RecordState::Held {
        route: "bill",
        left,
    });
    let (_, health) = waiting(waits, 600).await;
    let report = health.report();
    assert_eq!(report.state, State::Ok, "{report:?}");
    let reason = &report.check("progress").unwrap().reason;
    assert!(reason.contains("orders-0@0 is due in 3 min"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_program_that_does_not_ask_for_records_is_degraded_and_alive() {
    let (_, health) = waiting(Waits::Step(NextStep::Program), 900).await;
    let report = health.report();
    assert!(report.live && report.ready, "{report:?}");
    assert_eq!(state(&health, "progress"), State::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_record_on_which_no_lane_works_is_dead_and_one_that_waits_behind_others_is_not() {
    let waits = Waits::Record(RecordState::Queued { busy: 0 });
    let (_, health) = waiting(waits, 301).await;
    assert!(!health.report().live);
    let waits = Waits::Record(RecordState::Queued { busy: 2 });
    let (_, health) = waiting(waits, 301).await;
    assert!(health.report().live);
    assert_eq!(state(&health, "progress"), State::Degraded);
}

#[tokio::test(start_paused = true)]
async fn offsets_that_move_between_looks_bound_what_the_consumer_tells() {
    let waits = Waits::Record(RecordState::InHandler { route: "bill" });
    let (world, health) = waiting(waits, 600).await;
    assert_eq!(state(&health, "progress"), State::Degraded);
    {
        // Another lane settled the oldest record. The one that is the oldest now was delivered long
        // ago.
        let mut figures = world.0.lock();
        figures.settled = 1;
    }
    assert_eq!(state(&health, "progress"), State::Ok);
}

#[tokio::test(start_paused = true)]
async fn fetches_that_fail_are_degraded_in_seconds_failing_in_the_end_and_no_reason_to_restart() {
    let (world, health) = World::new();
    let error = Error::broker(ErrorCode::KAFKA_STORAGE_ERROR);
    world.set(|figures| {
        figures.trouble = Some((Instant::now(), error));
        figures.lag = 9;
        figures.waits = Waits::Step(NextStep::Fetch);
    });
    assert_eq!(state(&health, "fetches"), State::Ok, "an election");
    pass(4).await;
    let report = health.report();
    let check = report.check("fetches").unwrap();
    assert_eq!(check.state, State::Degraded, "{report:?}");
    assert!(
        check
            .reason
            .starts_with("1 partition cannot be fetched: orders-0 for 4 s: "),
        "{}",
        check.reason
    );
    pass(600).await;
    let report = health.report();
    assert_eq!(state(&health, "fetches"), State::Failing);
    assert!(report.live && !report.ready, "{report:?}");
    world.set(|figures| figures.trouble = None);
    assert!(
        !health.report().live,
        "nothing is refused, and nothing comes"
    );
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
    let (_, health) = World::new();
    let place = TopicPartition::new("orders", 0);
    health.on(&Event::LaneStopped {
        group: "billing",
        partition: &place,
        route: "bill",
        reason: "poison",
    });
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

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_is_failing_and_takes_nothing_with_it() {
    let (_, health) = World::new();
    health.check("warehouse", || panic!("no shelf"));
    let report = health.report();
    let check = report.check("warehouse").unwrap();
    assert_eq!(
        (check.state, check.reason.as_str()),
        (State::Failing, "the check panicked: no shelf")
    );
    assert!(report.live);
}

#[tokio::test(start_paused = true)]
async fn figures_that_panic_are_told_and_the_others_are_judged() {
    struct Broken;
    impl Gauges for Broken {
        fn read(&self, _: &mut dyn FnMut(Gauge<'_>)) {
            panic!("out of ink");
        }
    }
    let (_, health) = World::new();
    health.watch(Arc::new(Broken));
    let report = health.report();
    let check = report.check("panics").unwrap();
    assert_eq!(check.state, State::Degraded);
    assert!(check.reason.contains("out of ink"), "{}", check.reason);
    assert!(report.check("progress").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_panic_that_was_contained_is_told_for_ten_minutes() {
    let (_, health) = World::new();
    health.on(&Event::Panicked {
        what: "observer",
        message: "out of paper",
    });
    let report = health.report();
    let check = report.check("panics").unwrap();
    assert_eq!(
        (check.state, check.reason.as_str()),
        (
            State::Degraded,
            "observer: out of paper (1 time, the last 0 ms ago)"
        )
    );
    pass(601).await;
    assert!(health.report().check("panics").is_none());
}
