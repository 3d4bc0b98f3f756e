//! Commits that overlap. Each takes its offsets when its turn comes, none goes back unless the user
//! asks, and trouble with one partition does not stop the others.

use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{Consumer, OffsetAndMetadata, StartAt};
use milena_core::{ConsumerRecord, ErrorKind, Offset, Partition, Value};
use tokio::time::{Instant, sleep, timeout};

use crate::bed::reading::{place, receive};
use crate::bed::{Bed, Events, LIMIT, Seen, bed, bed_with, eventually, fill, run, run_noting};

async fn read_100(bed: &Bed) -> (Consumer, Vec<ConsumerRecord>) {
    bed.fill(1, 0, 100).await;
    let consumer = bed.builder().await.build().unwrap();
    let records = receive(&consumer, 100).await;
    (consumer, records)
}

fn requests(bed: &Bed) -> usize {
    bed.broker.journal().requests(ApiKey::OffsetCommit).len()
}

#[tokio::test(start_paused = true)]
async fn a_commit_by_record_that_comes_to_its_turn_behind_a_higher_one_changes_nothing() {
    let bed = bed(1).await;
    let (consumer, records) = read_100(&bed).await;
    let pending = consumer.commit_record_async(&records[10]).unwrap();
    consumer.commit().await.unwrap();
    pending.await.unwrap();
    assert_eq!(bed.committed(0), Some(100));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn commits_by_record_side_by_side_leave_the_highest() {
    let bed = bed(1).await;
    let (consumer, records) = read_100(&bed).await;
    let (high, low) = tokio::join!(
        consumer.commit_record(&records[20]),
        consumer.commit_record(&records[10]),
    );
    high.and(low).unwrap();
    assert_eq!(bed.committed(0), Some(21));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn of_commits_that_nobody_waits_for_the_highest_goes_out() {
    let bed = bed(1).await;
    let (consumer, records) = read_100(&bed).await;
    let high = consumer.commit_record_async(&records[20]).unwrap();
    let low = consumer.commit_record_async(&records[10]).unwrap();
    high.await.and(low.await).unwrap();
    assert_eq!(bed.committed(0), Some(21));
    // An offset that the user names counts, however low it is. So does one that comes after it.
    let named = consumer
        .commit_offsets_async([(place(0), Offset::from(5_u32))])
        .unwrap();
    named.await.unwrap();
    assert_eq!(bed.committed(0), Some(5));
    drop(
        consumer
            .commit_offsets_async([(place(0), Offset::from(3_u32))])
            .unwrap(),
    );
    let after = consumer.commit_record_async(&records[7]).unwrap();
    after.await.unwrap();
    assert_eq!(bed.committed(0), Some(8));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_named_offset_counts_though_an_earlier_commit_comes_to_its_turn_behind_it() {
    let bed = bed(1).await;
    let (consumer, records) = read_100(&bed).await;
    let earlier = consumer.commit_record_async(&records[20]).unwrap();
    consumer
        .commit_offsets([(place(0), Offset::from(4_u32))])
        .await
        .unwrap();
    earlier.await.unwrap();
    assert_eq!(bed.committed(0), Some(4));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_lands_after_a_seek_stops_no_later_one() {
    let bed = bed(1).await;
    let (consumer, _) = read_100(&bed).await;
    let slow = Fault::delay_answer(Duration::from_secs(2)).on(ApiKey::OffsetCommit);
    let handle = bed.broker.faults().add(slow);
    let landing = consumer.commit_async();
    handle.wait_fired(1).await;
    consumer
        .seek(&place(0), StartAt::Offset(50.into()))
        .unwrap();
    receive(&consumer, 10).await;
    landing.await.unwrap();
    assert_eq!(bed.committed(0), Some(100));
    consumer.commit().await.unwrap();
    assert_eq!(bed.committed(0), Some(60));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_of_the_old_topic_that_lands_late_stops_none_of_the_new_one() {
    let bed = bed(1).await;
    let (consumer, _) = read_100(&bed).await;
    let slow = Fault::delay_answer(Duration::from_secs(20)).on(ApiKey::OffsetCommit);
    let handle = bed.broker.faults().add(slow);
    let landing = consumer.commit_async();
    handle.wait_fired(1).await;
    let inspect = bed.broker.inspect();
    inspect.delete_topic("orders");
    inspect.create_topic("orders", 1).unwrap();
    bed.fill(1, 0, 10).await;
    let first = receive(&consumer, 10).await;
    assert_eq!(first[0].offset, Offset::ZERO);
    let _ = landing.await;
    consumer.commit().await.unwrap();
    assert_eq!(bed.committed(0), Some(10));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn records_of_a_partition_that_was_lost_cannot_be_committed_and_that_is_told() {
    let bed = bed_with(1, |builder| builder.group_version(0)).await;
    bed.fill(1, 0, 5).await;
    let consumer = bed.builder().await.build().unwrap();
    receive(&consumer, 5).await;
    let lost = Fault::error(ErrorCode::UNKNOWN_MEMBER_ID).on(ApiKey::Heartbeat);
    let handle = bed.broker.faults().add(lost);
    timeout(LIMIT, handle.wait_fired(1)).await.unwrap();
    // The member joined again and reads from the beginning. Records received before are not its to
    // commit.
    let again = receive(&consumer, 1).await;
    assert_eq!(again[0].offset, Offset::ZERO);
    let error = consumer.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("orders"), "{error}");
    receive(&consumer, 4).await;
    consumer.commit().await.unwrap();
    assert_eq!(bed.committed(0), Some(5), "told once");
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_topic_is_gone_delays_no_other_commit_and_is_given_up() {
    let bed = bed_with(1, |builder| builder.topic("doomed", 1)).await;
    let cluster = bed.cluster("filler").await;
    fill(&cluster, "doomed", 1, 0, 2).await;
    let seen = Seen::default();
    let events = Events::default();
    let builder = bed.builder().await.topics(["orders", "doomed"]);
    let noted = seen.clone();
    let running = run(
        builder.add_observer(Arc::new(events.clone())),
        move |topic: milena_core::TopicName, partition: Partition, Value(value): Value| {
            let noted = noted.clone();
            async move {
                if &*topic == "doomed" {
                    sleep(Duration::from_millis(700)).await;
                } else {
                    noted.note_parts(partition, &value);
                }
            }
        },
    );
    bed.fill(1, 0, 1).await;
    seen.until_len(1).await;
    bed.broker.inspect().delete_topic("doomed");
    sleep(Duration::from_secs(3)).await;
    for number in 1..6_usize {
        bed.fill(1, number, 1).await;
        seen.until_len(number + 1).await;
        let began = Instant::now();
        let next = i64::try_from(number).unwrap() + 1;
        eventually("it is committed", || bed.committed(0) == Some(next)).await;
        assert!(
            began.elapsed() <= Duration::from_millis(1_500),
            "{:?}",
            began.elapsed()
        );
    }
    sleep(Duration::from_secs(30)).await;
    let before = requests(&bed);
    sleep(Duration::from_secs(30)).await;
    assert!(requests(&bed) - before <= 1, "it is given up");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_may_not_be_committed_keeps_no_other_from_it() {
    let bed = bed_with(1, |builder| builder.topic("secret", 1)).await;
    let cluster = bed.cluster("filler").await;
    fill(&cluster, "secret", 1, 0, 5).await;
    bed.fill(1, 0, 5).await;
    let refusal = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(ApiKey::OffsetCommit);
    bed.broker.faults().add(refusal.topic("secret").always());
    let (seen, events) = (Seen::default(), Events::default());
    let builder = bed.builder().await.topics(["orders", "secret"]);
    let running = run_noting(builder.add_observer(Arc::new(events.clone())), &seen);
    seen.until_len(10).await;
    eventually("the others are committed", || bed.committed(0) == Some(5)).await;
    eventually("it is told", || {
        events.count(&["Commit {", "TOPIC_AUTHORIZATION_FAILED", "secret"]) > 0
    })
    .await;
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_text_that_no_commit_may_carry_ends_the_run() {
    for code in [
        ErrorCode::OFFSET_METADATA_TOO_LARGE,
        ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
    ] {
        let bed = bed(1).await;
        bed.fill(1, 0, 5).await;
        let refusal = Fault::error(code).on(ApiKey::OffsetCommit).always();
        bed.broker.faults().add(refusal);
        let seen = Seen::default();
        let error = run_noting(bed.builder().await, &seen).ended().await;
        let error = error.unwrap_err();
        assert_eq!(error.code(), Some(code));
        assert!(error.to_string().contains("commit_metadata"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_too_long_for_one_partition_keeps_no_other_from_being_committed() {
    let bed = bed(2).await;
    bed.fill(2, 0, 5).await;
    let consumer = bed.builder().await.build().unwrap();
    receive(&consumer, 10).await;
    let long = "x".repeat(5_000);
    let told = consumer
        .commit_offsets([
            (place(0), OffsetAndMetadata::new(3.into(), long.as_str())),
            (place(1), OffsetAndMetadata::new(4.into(), "short")),
        ])
        .await;
    let code = told.unwrap_err().code();
    assert_eq!(code, Some(ErrorCode::OFFSET_METADATA_TOO_LARGE));
    assert_eq!((bed.committed(0), bed.committed(1)), (None, Some(4)));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_refused_without_a_reason_is_tried_again() {
    for code in [-1, 9_999] {
        let bed = bed(2).await;
        bed.fill(2, 0, 5).await;
        let consumer = bed.builder().await.build().unwrap();
        receive(&consumer, 10).await;
        let fault = Fault::error(ErrorCode::from_wire(code).unwrap()).on(ApiKey::OffsetCommit);
        let fault = fault.topic("orders").partition(1).times(3);
        let handle = bed.broker.faults().add(fault);
        consumer.commit().await.unwrap();
        assert_eq!(handle.fired(), 3);
        assert_eq!((bed.committed(0), bed.committed(1)), (Some(5), Some(5)));
        consumer.close().await;
    }
}
