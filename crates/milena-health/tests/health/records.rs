//! The reports about records that do not move.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{Error, ErrorCode, NextStep, RecordState};
use milena_health::{Health, State};
use tokio::time::Instant;

use crate::bed::{Waits, World, answers, pass, state};

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

/// Makes a world whose partition has lagged for `seconds` before the first look.
pub(crate) async fn waiting(waits: Waits, seconds: u64) -> (World, Health) {
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
