//! Tests of fetching against bugs of other consumers. Each would fail if milena had the bug.
//!
//! Bugs C8 and C9 have more cases in `consume/nearby.rs`, C17 in `consume/damage.rs`.
//!
//! Bug C16 sends zero topic ids with new versions of Fetch and OffsetFetch. It needs no test here.
//! A fetch names topics, at version 12, if the id of one of them is unknown (`fetcher/flight.rs`).
//! OffsetFetch names topics in all versions that milena speaks (at most 9, and ids came with 10).

use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{AssignedConsumer, OffsetReset, StartAt};
use milena_core::{
    ErrorKind, Gauge, HeadersRef, Offset, ProducerEpoch, ProducerId, ProducerRecord, Sequence,
    Timestamp,
};
use milena_producer::Producer;
use milena_protocol::batch::{BatchBuilder, ControlRecord, ProducerStamp, rewrite};
use milena_protocol::compression::Compression;
use tokio::time::{sleep, timeout};

use crate::bed::reading::{expect, place, reader};
use crate::bed::{Bed, LIMIT, Seen, bed, bed_with, eventually, run_noting};

fn fetches(bed: &Bed) -> usize {
    bed.broker.journal().requests(ApiKey::Fetch).len()
}

/// Bug C7. A new leader under the same epoch is ignored, and the partition stops.
#[tokio::test(start_paused = true)]
async fn c7_a_leader_that_moves_under_the_same_epoch_is_followed() {
    let bed = bed_with(1, |builder| builder.replication_factor(2)).await;
    bed.fill(1, 0, 5).await;
    let consumer = reader(&bed, 1).await;
    expect(&consumer, 0..5).await;
    let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
    assert!(
        bed.broker
            .inspect()
            .move_leader_quietly("orders", 0, 3 - leader)
    );
    bed.fill(1, 5, 5).await;
    expect(&consumer, 5..10).await;
}

/// Bug C8. An offset out of range at a follower sends ListOffsets to the follower for ever.
#[tokio::test(start_paused = true)]
async fn c8_a_follower_that_begins_later_than_the_leader_costs_one_detour() {
    let bed = bed_with(1, |b| b.replication_factor(2).racks(["a", "b"])).await;
    bed.fill(1, 0, 5).await;
    let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
    let fault = Fault::error(ErrorCode::OFFSET_OUT_OF_RANGE).on(ApiKey::Fetch);
    bed.broker.faults().add(fault.node(3 - leader).always());
    let rack = if leader == 1 { "b" } else { "a" };
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .client_rack(rack)
        .auto_offset_reset(OffsetReset::Latest)
        .build()
        .unwrap();
    consumer.assign([(place(0), StartAt::Offset(Offset::ZERO))]);
    expect(&consumer, 0..5).await;
    assert!(
        bed.broker
            .journal()
            .requests(ApiKey::ListOffsets)
            .is_empty()
    );
}

/// Bug C9. A preferred replica that the metadata does not show stops its partition.
#[tokio::test(start_paused = true)]
async fn c9_a_preferred_replica_that_does_not_exist_is_passed_by() {
    let bed = bed(1).await;
    bed.fill(1, 0, 5).await;
    bed.broker.inspect().name_replica("orders", 0, Some(99));
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .client_rack("somewhere")
        .build()
        .unwrap();
    consumer.assign([(place(0), StartAt::Beginning)]);
    expect(&consumer, 0..5).await;
    bed.fill(1, 5, 5).await;
    expect(&consumer, 5..10).await;
    assert!(fetches(&bed) < 20, "{} fetches", fetches(&bed));
}

/// Bug C10. A batch that compaction emptied stops the position for ever.
#[tokio::test(start_paused = true)]
async fn c10_an_empty_batch_amid_or_at_the_end_of_a_log_is_passed() {
    let bed = bed(1).await;
    let inspect = bed.broker.inspect();
    let mut ends = vec![0];
    for first in [0, 10, 20] {
        bed.fill(1, first, 10).await;
        ends.push(inspect.end_offset("orders", 0).unwrap());
    }
    for batch in inspect.batches("orders", 0) {
        let base = batch.base_offset.to_wire();
        if (10..20).contains(&base) || base >= 25 {
            assert!(inspect.empty_batch("orders", 0, base));
        }
    }
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    eventually("the end is committed", || bed.committed(0) == Some(30)).await;
    bed.fill(1, 30, 1).await;
    seen.until("the next record", |seen| seen.of(0).last() == Some(&30))
        .await;
    running.end().await;
    assert!(seen.of(0).starts_with(&(0..10).collect::<Vec<_>>()));
}

/// Bug C13. A hint about one partition's leader replaces everything known of the others.
#[tokio::test(start_paused = true)]
async fn c13_a_leader_hint_for_one_partition_leaves_the_others_be() {
    let bed = bed_with(4, |builder| builder.replication_factor(2)).await;
    bed.fill(4, 0, 5).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(20).await;
    // Only the hint shows the move.
    let stale = bed.broker.faults().add(Fault::stale_metadata().always());
    let (leader, _) = bed.broker.inspect().leader("orders", 1).unwrap();
    bed.broker.inspect().move_leader("orders", 1, 3 - leader);
    stale.remove();
    bed.fill(4, 5, 5).await;
    seen.until_len(40).await;
    running.end().await;
    for partition in 0..4 {
        assert_eq!(seen.of(partition), (0..10).collect::<Vec<_>>());
    }
}

/// Bug C14. A fetch session that is refused, evicted or out of step makes the client spin, or fetch
/// everything anew without a log line.
#[tokio::test(start_paused = true)]
async fn c14_sessions_that_are_refused_cost_neither_records_nor_a_hot_loop() {
    for code in [
        ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode::INVALID_FETCH_SESSION_EPOCH,
        ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR,
    ] {
        let bed = bed(1).await;
        bed.fill(1, 0, 5).await;
        let consumer = reader(&bed, 1).await;
        expect(&consumer, 0..5).await;
        let handle = bed
            .broker
            .faults()
            .add(Fault::error(code).on(ApiKey::Fetch).always());
        let waiting = consumer.next_batch(1, Duration::from_secs(30)).await;
        assert!(waiting.unwrap().is_empty());
        assert!(
            (1..120).contains(&handle.fired()),
            "{code}: {}",
            handle.fired()
        );
        handle.remove();
        bed.fill(1, 5, 5).await;
        expect(&consumer, 5..10).await;
    }
}

/// Bug C14, for a broker without fetch sessions and for sessions that are taken away during a read.
#[tokio::test(start_paused = true)]
async fn c14_a_broker_without_room_for_sessions_serves_all_the_same() {
    let bed = bed_with(2, |builder| builder.max_fetch_sessions(0)).await;
    bed.fill(2, 0, 20).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(40).await;
    let before = fetches(&bed);
    sleep(Duration::from_secs(30)).await;
    assert!(fetches(&bed) - before <= 2 * 2 * 31);
    running.end().await;
}

/// Bug C15. A topic that was deleted and created again under its name is read with the state of the
/// old one.
#[tokio::test(start_paused = true)]
async fn c15_a_topic_made_again_with_fewer_partitions_is_read_from_its_beginning() {
    let bed = bed(3).await;
    bed.fill(3, 0, 10).await;
    let consumer = reader(&bed, 3).await;
    for _ in 0..30 {
        timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    }
    let inspect = bed.broker.inspect();
    assert!(inspect.delete_topic("orders"));
    inspect.create_topic("orders", 1).unwrap();
    bed.fill(1, 100, 15).await;
    for expected in 0..15 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.partition.index(), 0);
        assert_eq!(record.offset.to_wire(), expected, "of the new topic");
        assert_eq!(record.value.unwrap(), (100 + expected).to_string());
    }
}

/// Bug C15, with the policy `none`. The consumer returns an error and reads nothing before a seek.
#[tokio::test(start_paused = true)]
async fn c15_without_a_policy_a_topic_made_again_is_told() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .auto_offset_reset(OffsetReset::None)
        .build()
        .unwrap();
    consumer.assign([(place(0), StartAt::Beginning)]);
    expect(&consumer, 0..10).await;
    bed.broker.inspect().delete_topic("orders");
    bed.broker.inspect().create_topic("orders", 1).unwrap();
    bed.fill(1, 0, 20).await;
    let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("created again"), "{error}");
    consumer.seek(&place(0), StartAt::Beginning).unwrap();
    expect(&consumer, 0..20).await;
}

/// Bug C17. A body that does not decompress is fetched over and over, and no error is returned.
#[tokio::test(start_paused = true)]
async fn c17_a_body_that_does_not_decompress_is_one_error_and_no_hot_loop() {
    let bed = bed(1).await;
    let producer = Producer::builder(bed.cluster("filler").await)
        .compression(Compression::Zstd(3))
        .build()
        .unwrap();
    let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
        .take(60_000)
        .collect();
    let record = ProducerRecord::new("orders").partition(0).value(noise);
    producer.send(record).await.unwrap();
    bed.broker.inspect().damage("orders", 0, 0, |bytes| {
        for byte in bytes.iter_mut().skip(70).take(3_000) {
            *byte ^= 0x5a;
        }
        rewrite::renew_crc(bytes);
    });
    let consumer = reader(&bed, 1).await;
    let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.place().offset, Some(Offset::ZERO));
    let before = fetches(&bed);
    sleep(Duration::from_secs(60)).await;
    let idle = fetches(&bed) - before;
    assert!(idle <= 125, "{idle} fetches while nobody asks");
}

fn transactional(producer: i64, sequence: i32, size: usize) -> bytes::Bytes {
    let mut open = BatchBuilder::with_capacity(size + 64);
    let value = vec![7; size];
    let value = Some(value.as_slice());
    open.append(Timestamp::from_millis(1), None, value, HeadersRef::empty())
        .unwrap();
    let (sealed, _) = open.seal(Compression::None).unwrap();
    sealed.to_bytes(Some(ProducerStamp {
        id: ProducerId::from_wire(producer).unwrap(),
        epoch: ProducerEpoch::from_wire(0).unwrap(),
        sequence: Sequence::from_wire(sequence).unwrap(),
        transactional: true,
    }))
}

/// Bug C22. Answers that hold only aborted records are taken for records that are too large.
#[tokio::test(start_paused = true)]
async fn c22_ten_times_the_fetch_size_of_aborted_records_is_passed() {
    let bed = bed(1).await;
    let inspect = bed.broker.inspect();
    for sequence in 0..40 {
        let batch = transactional(7, sequence, 4_000);
        inspect.append("orders", 0, &batch).unwrap();
    }
    let abort = ControlRecord::Abort {
        coordinator_epoch: 0,
    };
    let id = ProducerId::from_wire(7).unwrap();
    let epoch = ProducerEpoch::from_wire(0).unwrap();
    let marker = abort
        .to_batch(Offset::ZERO, (id, epoch), Timestamp::from_millis(1))
        .unwrap();
    inspect.append("orders", 0, &marker).unwrap();
    bed.fill(1, 0, 3).await;
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .fetch_max_bytes(16 << 10)
        .max_partition_fetch_bytes(16 << 10)
        .build()
        .unwrap();
    consumer.assign([(place(0), StartAt::Beginning)]);
    expect(&consumer, 41..44).await;
}

/// Bug C23. A slow reader's memory grows with the number of its partitions.
#[tokio::test(start_paused = true)]
async fn c23_what_is_fetched_ahead_stays_within_one_budget_over_all_partitions() {
    let bed = bed(16).await;
    let producer = Producer::builder(bed.cluster("filler").await)
        .batch_size(16 << 10)
        .build()
        .unwrap();
    for partition in 0..16_u32 {
        for _ in 0..200 {
            let record = ProducerRecord::new("orders").partition(partition);
            drop(
                producer
                    .enqueue(record.value(vec![1; 2_000]))
                    .await
                    .unwrap(),
            );
        }
    }
    producer.flush().await.unwrap();
    let budget = 512 << 10;
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .buffer_memory(budget)
        .build()
        .unwrap();
    consumer.assign((0..16).map(|p| (place(p), StartAt::Beginning)));
    let gauges = consumer.gauges();
    let used = || {
        let mut held = 0;
        gauges.read(&mut |gauge| {
            if let Gauge::BufferUsed { used, .. } = gauge {
                held = used;
            }
        });
        usize::try_from(held).unwrap()
    };
    let most = budget + 16 * (18 << 10);
    let mut seen = 0;
    timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    sleep(Duration::from_secs(20)).await;
    while seen < 16 * 200 - 1 {
        assert!(used() <= most, "{} bytes are held", used());
        timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        seen += 1;
    }
}
