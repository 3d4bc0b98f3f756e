//! Tests of offsets against bugs of other consumers. Each would fail if milena had the bug.
//!
//! Bugs C4, C5, C6 and C12 have more cases in `consume/truncation.rs`, `consume/faults.rs` and
//! `consume/damage.rs`.

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{AssignedConsumer, OffsetReset, StartAt};
use milena_core::{Offset, Outcome, ProcessError};
use tokio::time::{sleep, timeout};

use crate::bed::reading::{place, receive};
use crate::bed::{Bed, LIMIT, Seen, bed, bed_with, beds_with, eventually, run, run_noting};

/// Bug C1. A consumer resolves `latest` again after a crash until it has committed, and loses
/// records that were written between the crash and the restart.
#[tokio::test(start_paused = true)]
async fn c1_latest_becomes_a_number_once_and_is_committed_before_any_record() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let latest =
        |builder: milena_consumer::ConsumerBuilder| builder.auto_offset_reset(OffsetReset::Latest);
    let running = run_noting(latest(bed.builder().await), &Seen::default());
    eventually("the end is committed", || bed.committed(0) == Some(5)).await;
    running.crash();
    bed.fill(1, 5, 5).await;
    let seen = Seen::default();
    let running = run_noting(latest(bed.builder().await), &seen);
    seen.until_len(5).await;
    running.end().await;
    assert_eq!(seen.of(0), (5..10).collect::<Vec<_>>());
}

/// Bug C1, with a broken connection. `latest` is resolved once, and the new connection does not
/// resolve it again.
#[tokio::test(start_paused = true)]
async fn c1_a_broken_connection_does_not_move_latest() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .build()
        .unwrap();
    consumer.assign([(place(0), StartAt::End)]);
    let none = consumer
        .next_batch(1, Duration::from_secs(2))
        .await
        .unwrap();
    assert!(none.is_empty());
    for (node, _) in bed.broker.addresses() {
        bed.broker.inspect().broker_down(node);
    }
    for (node, _) in bed.broker.addresses() {
        bed.broker.inspect().broker_up(node);
    }
    bed.fill(1, 5, 3).await;
    let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    assert_eq!(record.offset.to_wire(), 5);
}

/// Bug C2. Records that were fetched ahead are delivered after their partition was given away.
#[tokio::test(start_paused = true)]
async fn c2_what_was_fetched_of_a_revoked_partition_is_not_delivered() {
    for bed in beds_with(2, |b| b).await {
        bed.fill(2, 0, 200).await;
        let first = bed.builder_as("first").await.build().unwrap();
        receive(&first, 3).await;
        let second = bed.builder_as("second").await.build().unwrap();
        // The second member joins when it is first used.
        let _ = second
            .next_batch(1, Duration::from_millis(1))
            .await
            .unwrap();
        eventually("they share", || {
            first.assignment().len() == 1 && second.assignment().len() == 1
        })
        .await;
        let kept = first.assignment();
        while let Some(record) = first
            .next_batch(1, Duration::from_secs(3))
            .await
            .unwrap()
            .pop()
        {
            assert_eq!(
                record.partition, kept[0].partition,
                "the other was given away"
            );
        }
    }
}

/// Bug C3. An offset stored after its partition was given away is committed when the partition
/// comes back, and overwrites the other member's progress.
#[tokio::test(start_paused = true)]
async fn c3_a_late_commit_never_rewinds_what_another_member_committed() {
    for bed in beds_with(1, |b| b).await {
        bed.fill(1, 0, 50).await;
        let first = bed.builder_as("first").await.build().unwrap();
        let old = receive(&first, 10).await.pop().unwrap();
        first.close().await;
        let seen = Seen::default();
        let running = run_noting(bed.builder_as("second").await, &seen);
        seen.until_len(50).await;
        running.end().await;
        assert_eq!(bed.committed(0), Some(50));
        let again = bed.builder_as("first").await.build().unwrap();
        let _ = again.next_batch(1, Duration::from_secs(2)).await.unwrap();
        assert_eq!(again.assignment(), [place(0)]);
        again.commit_record(&old).await.unwrap();
        again.commit_record_async(&old).unwrap().await.unwrap();
        assert_eq!(bed.committed(0), Some(50));
        assert!(
            first.commit_record(&old).await.is_err(),
            "it is not assigned"
        );
        again.close().await;
    }
}

/// Bug C4. An event that is not a record moves the position, and that position is committed.
#[tokio::test(start_paused = true)]
async fn c4_only_delivered_records_move_the_position() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    let consumer = bed.builder().await.build().unwrap();
    receive(&consumer, 5).await;
    let fault = Fault::error(ErrorCode::TOPIC_AUTHORIZATION_FAILED).on(ApiKey::Fetch);
    bed.broker.faults().add(fault.client_id("consumer"));
    bed.fill(1, 5, 5).await;
    let mut received = 5;
    let error = loop {
        match timeout(LIMIT, consumer.recv()).await.unwrap() {
            Ok(record) => received = record.offset.next().to_wire(),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let position = consumer.position(&place(0)).unwrap();
    assert_eq!(position.map(Offset::to_wire), Some(received));
    consumer.commit().await.unwrap();
    assert_eq!(bed.committed(0), Some(received));
    bed.fill(1, 10, 5).await;
    let next = receive(&consumer, 1).await.remove(0);
    assert_eq!(next.offset.to_wire(), received);
    consumer.close().await;
}

async fn replicated() -> Bed {
    bed_with(1, |builder| builder.replication_factor(2)).await
}

/// Bug C5. An answer to a fetch that arrives while the position is validated is delivered, and
/// later again.
#[tokio::test(start_paused = true)]
async fn c5_an_answer_amid_a_validation_is_not_delivered_twice() {
    let bed = replicated().await;
    bed.fill(1, 0, 10).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(10).await;
    let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
    // A fetch at the old leader answers late, while the consumer asks the new leader about the
    // epoch.
    let slow = Fault::delay_answer(Duration::from_secs(3)).on(ApiKey::Fetch);
    bed.broker
        .faults()
        .add(slow.node(leader).client_id("consumer"));
    bed.fill(1, 10, 5).await;
    let asked = Fault::delay(Duration::from_secs(6)).on(ApiKey::OffsetForLeaderEpoch);
    let asked = bed.broker.faults().add(asked);
    bed.broker.inspect().move_leader("orders", 0, 3 - leader);
    bed.fill(1, 15, 5).await;
    seen.until_len(20).await;
    sleep(Duration::from_secs(10)).await;
    running.end().await;
    assert_eq!(seen.of(0), (0..20).collect::<Vec<_>>());
    assert!(asked.fired() > 0);
}

/// Bug C6. A passing error of an offset lookup counts as "no offset" and resets the position.
#[tokio::test(start_paused = true)]
async fn c6_transport_errors_on_the_way_to_an_offset_reset_nothing() {
    let lookups = [
        ApiKey::OffsetFetch,
        ApiKey::FindCoordinator,
        ApiKey::OffsetForLeaderEpoch,
    ];
    for api in lookups {
        for fault in [
            Fault::disconnect().times(3),
            Fault::apply_then_disconnect().times(2),
            Fault::silence(),
        ] {
            let bed = bed(1).await;
            bed.fill(1, 0, 10).await;
            let seen = Seen::default();
            let running = run_noting(bed.builder().await, &seen);
            seen.until_len(10).await;
            running.end().await;
            bed.fill(1, 10, 5).await;
            let handle = bed.broker.faults().add(fault.on(api).client_id("consumer"));
            let builder = bed.builder().await;
            let seen = Seen::default();
            let running = run_noting(builder.auto_offset_reset(OffsetReset::Latest), &seen);
            seen.until_len(5).await;
            running.end().await;
            assert_eq!(seen.of(0), (10..15).collect::<Vec<_>>(), "{api:?}");
            assert!(handle.fired() > 0, "{api:?}");
        }
    }
}

/// Bug C6, for ListOffsets. The policy `none` causes no reset, and the end stays the end.
#[tokio::test(start_paused = true)]
async fn c6_transport_errors_of_list_offsets_are_asked_again() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let fault = Fault::disconnect().on(ApiKey::ListOffsets).times(3);
    let handle = bed.broker.faults().add(fault);
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .auto_offset_reset(OffsetReset::None)
        .build()
        .unwrap();
    consumer.assign([(place(0), StartAt::End)]);
    let none = consumer
        .next_batch(1, Duration::from_secs(5))
        .await
        .unwrap();
    assert!(none.is_empty());
    assert_eq!(consumer.position(&place(0)).unwrap(), Some(10.into()));
    assert_eq!(handle.fired(), 3);
}

/// Bug C11. A seek keeps records that were fetched before it, and a commit is clamped backwards
/// until a reset loops.
#[tokio::test(start_paused = true)]
async fn c11_a_seek_with_a_full_buffer_goes_where_it_says_and_commits_follow() {
    let bed = bed(1).await;
    bed.fill(1, 0, 300).await;
    let consumer = bed.builder().await.build().unwrap();
    receive(&consumer, 20).await;
    consumer.commit().await.unwrap();
    for (to, first) in [
        (StartAt::Offset(150.into()), 150),
        (StartAt::Offset(3.into()), 3),
        (StartAt::Beginning, 0),
        (StartAt::Offset(299.into()), 299),
    ] {
        consumer.seek(&place(0), to).unwrap();
        let record = receive(&consumer, 1).await.pop().unwrap();
        assert_eq!(record.offset.to_wire(), first);
        consumer.commit().await.unwrap();
        assert_eq!(bed.committed(0), Some(first + 1));
    }
    consumer.seek(&place(0), StartAt::End).unwrap();
    bed.fill(1, 300, 1).await;
    let none = consumer
        .next_batch(1, Duration::from_secs(3))
        .await
        .unwrap();
    assert!(none.iter().all(|record| record.offset >= 300.into()));
    consumer.close().await;
}

/// Bug C11, for a seek outside the log. Each end of the log resets the position once.
#[tokio::test(start_paused = true)]
async fn c11_a_seek_out_of_the_log_resets_once_and_does_not_loop() {
    let bed = bed(1).await;
    bed.fill(1, 0, 30).await;
    bed.broker.inspect().delete_records("orders", 0, 10);
    let consumer = bed.builder().await.build().unwrap();
    receive(&consumer, 5).await;
    for target in [2_u32, 99] {
        consumer.seek(&place(0), Offset::from(target)).unwrap();
        bed.broker.journal().clear();
        let record = receive(&consumer, 1).await.pop().unwrap();
        assert_eq!(record.offset.to_wire(), 10, "earliest");
        assert_eq!(bed.broker.journal().requests(ApiKey::ListOffsets).len(), 1);
    }
    consumer.close().await;
}

/// Bug C12. A record that cannot be decoded takes the rest of its batch with it.
#[tokio::test(start_paused = true)]
async fn c12_a_poison_record_costs_neither_the_one_before_nor_the_one_behind() {
    let bed = bed(1).await;
    bed.fill(1, 0, 20).await;
    let seen = Seen::default();
    let noted = seen.clone();
    let poison = async |offset: Offset| match offset.to_wire() {
        7 => Err(ProcessError::poison("no order")),
        _ => Ok(()),
    };
    let error = run(bed.builder().await, poison).ended().await.unwrap_err();
    assert_eq!(error.place().offset, Some(7.into()));
    assert_eq!(bed.committed(0), Some(7));
    let skipping = move |partition: milena_core::Partition,
                         offset: Offset,
                         milena_core::Value(value): milena_core::Value| {
        let noted = noted.clone();
        async move {
            if offset.to_wire() == 7 {
                return Outcome::skip("no order");
            }
            noted.note_parts(partition, &value);
            Outcome::Ack
        }
    };
    let running = run(bed.builder().await, skipping);
    seen.until_len(12).await;
    let report = running.end().await;
    assert_eq!(seen.of(0), (8..20).collect::<Vec<_>>());
    assert_eq!((report.skipped, bed.committed(0)), (1, Some(20)));
}
