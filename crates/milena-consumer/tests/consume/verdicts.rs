//! The handler's answer decides what is committed. An error never drops a record.

use std::sync::Arc;
use std::time::Duration;

use milena_consumer::{LaneStopPolicy, RunEnd};
use milena_core::{Attempt, ErrorKind, Event, Observer, Offset, Outcome, ProcessError};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::bed::{bed, eventually, run};

#[tokio::test(start_paused = true)]
async fn an_error_is_tried_again_in_place_and_the_rest_waits_its_turn() {
    let bed = bed(1).await;
    bed.fill(1, 0, 3).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&order);
    let running = run(
        bed.builder().await,
        move |offset: Offset, Attempt(attempt): Attempt| {
            noted.lock().push((offset.to_wire(), attempt));
            async move {
                if offset.to_wire() == 1 && attempt < 3 {
                    return Err(ProcessError::transient("busy"));
                }
                Ok(Outcome::Ack)
            }
        },
    );
    eventually("all is committed", || bed.committed(0) == Some(3)).await;
    running.end().await;
    assert_eq!(*order.lock(), [(0, 1), (1, 1), (1, 2), (1, 3), (2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_processed_stops_the_run_by_name_and_is_not_committed() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let running = run(bed.builder().await, async |offset: Offset| {
        match offset.to_wire() {
            2 => Err(ProcessError::poison("no order")),
            _ => Ok(()),
        }
    });
    let error = running.ended().await.unwrap_err();
    let text = error.to_string();
    for part in ["poison", "no order", "orders", "offset 2"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(
        bed.committed(0),
        Some(2),
        "what was done is committed, the record itself is not"
    );
}

#[tokio::test(start_paused = true)]
async fn another_partition_goes_on_where_the_policy_keeps_the_others() {
    let bed = bed(2).await;
    bed.fill(2, 0, 5).await;
    let builder = bed.builder().await.on_lane_stop(LaneStopPolicy::Pause);
    let running = run(
        builder,
        async |partition: milena_core::Partition, offset: Offset| match (
            partition.index(),
            offset.to_wire(),
        ) {
            (0, 2) => Err(ProcessError::poison("no order")),
            _ => Ok(()),
        },
    );
    eventually("the other partition is done", || {
        bed.committed(1) == Some(5)
    })
    .await;
    assert_eq!(bed.committed(0), Some(2));
    let report = running.end().await;
    assert_eq!(report.processed, 7);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_and_the_next_attempt_starts_afresh() {
    let bed = bed(1).await;
    bed.fill(1, 0, 2).await;
    let running = run(bed.builder().await, async |Attempt(attempt): Attempt| {
        assert!(attempt > 1, "by design");
    });
    eventually("all is committed", || bed.committed(0) == Some(2)).await;
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_run_with_its_reason_and_leaves_the_record() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let running = run(bed.builder().await, async |offset: Offset| {
        if offset.to_wire() == 3 {
            Outcome::stop("enough")
        } else {
            Outcome::Ack
        }
    });
    let report = running.ended().await.unwrap();
    assert_eq!(report.end, RunEnd::Stopped("enough".into()));
    assert_eq!((report.processed, bed.committed(0)), (3, Some(3)));
}

#[tokio::test(start_paused = true)]
async fn a_fatal_error_ends_the_run_and_says_why() {
    let bed = bed(1).await;
    bed.fill(1, 0, 1).await;
    let running = run(bed.builder().await, async || {
        Err::<(), _>(ProcessError::fatal("no key store"))
    });
    let error = running.ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("no key store"), "{error}");
    assert_eq!(bed.committed(0).unwrap_or(0), 0);
}

/// Notes the names of all that paused a partition.
#[derive(Default)]
struct Pauses(Mutex<Vec<String>>);

impl Observer for Pauses {
    fn on(&self, event: &Event<'_>) {
        match event {
            Event::Paused { by, .. } => self.0.lock().push((*by).to_owned()),
            Event::Resumed { .. } => self.0.lock().push("resumed".to_owned()),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_on_hold_pauses_its_partition_and_counts_no_attempt() {
    let bed = bed(1).await;
    bed.fill(1, 0, 1).await;
    let pauses = Arc::new(Pauses::default());
    let began = Instant::now();
    let start = milena_core::Timestamp::now();
    let wall = move || start.plus(began.elapsed());
    let due = start.plus(Duration::from_secs(90));
    let builder = bed.builder().await.clock(wall).add_observer(pauses.clone());
    let running = run(builder, move |Attempt(attempt): Attempt| async move {
        assert_eq!(attempt, 1);
        if wall().since(due) > Duration::ZERO || wall() >= due {
            Outcome::Ack
        } else {
            Outcome::Hold(due)
        }
    });
    eventually("it is done", || bed.committed(0) == Some(1)).await;
    assert!(began.elapsed() >= Duration::from_secs(90));
    running.end().await;
    assert_eq!(*pauses.0.lock(), ["hold", "resumed"]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_of_which_two_lanes_hold_a_record_goes_on_when_the_last_one_lets_go() {
    let bed = bed(1).await;
    bed.fill(1, 0, 2).await;
    let pauses = Arc::new(Pauses::default());
    let began = Instant::now();
    let start = milena_core::Timestamp::now();
    let wall = move || start.plus(began.elapsed());
    let builder = bed.builder().await.clock(wall).add_observer(pauses.clone());
    let builder = builder.order(milena_consumer::Order::Key(2));
    let running = run(builder, move |offset: milena_core::Offset| async move {
        let due = start.plus(Duration::from_secs(if offset.to_wire() == 0 {
            10
        } else {
            90
        }));
        if wall() >= due {
            Outcome::Ack
        } else {
            Outcome::Hold(due)
        }
    });
    sleep(Duration::from_secs(60)).await;
    assert_eq!(*pauses.0.lock(), ["hold", "hold"], "the second holds on");
    eventually("all is done", || bed.committed(0) == Some(2)).await;
    running.end().await;
    assert_eq!(*pauses.0.lock(), ["hold", "hold", "resumed"]);
}
