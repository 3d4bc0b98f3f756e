//! The reports about writes, a shutdown and a panic, and what a report has in it.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Event, Gauge, Gauges, Observer};
use milena_health::{Phase, State};
use tokio::time::Instant;

use crate::bed::{World, pass, refuses, state};

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
