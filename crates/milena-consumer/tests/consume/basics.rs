//! A single consumer. Tests of order, commits, restart and close.

use std::time::Duration;

use milena_broker::ApiKey;
use milena_consumer::{AssignedConsumer, GroupProtocol, RunEnd, StartAt};
use milena_core::TopicPartition;
use tokio::time::timeout;

use crate::bed::{LIMIT, Seen, bed, eventually, run_noting};

#[tokio::test(start_paused = true)]
async fn records_come_in_order_per_partition_and_are_committed_at_the_end() {
    let bed = bed(3).await;
    bed.fill(3, 0, 100).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(300).await;
    let report = running.end().await;
    for partition in 0..3 {
        assert_eq!(seen.of(partition), (0..100).collect::<Vec<_>>());
        assert_eq!(bed.committed(partition), Some(100));
    }
    assert_eq!((report.processed, report.skipped, report.late), (300, 0, 0));
    assert_eq!(report.end, RunEnd::Shutdown);
    assert_eq!(report.committed.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_restart_resumes_where_the_last_run_ended() {
    let bed = bed(2).await;
    bed.fill(2, 0, 10).await;
    let first = Seen::default();
    let running = run_noting(bed.builder().await, &first);
    first.until_len(20).await;
    running.end().await;
    bed.fill(2, 10, 5).await;
    let second = Seen::default();
    let running = run_noting(bed.builder().await, &second);
    second.until_len(10).await;
    running.end().await;
    assert_eq!(second.of(0), (10..15).collect::<Vec<_>>());
    assert_eq!(second.of(1), (10..15).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn offsets_are_committed_each_second_without_any_end() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(10).await;
    eventually("the commit", || bed.committed(0) == Some(10)).await;
    running.crash();
}

#[tokio::test(start_paused = true)]
async fn closing_leaves_the_group() {
    for (protocol, leaves) in [
        (GroupProtocol::Classic, 1),
        // Under the consumer protocol the last heartbeat leaves.
        (GroupProtocol::Consumer, 0),
    ] {
        let bed = bed(1).await;
        let seen = Seen::default();
        let running = run_noting(bed.builder().await.group_protocol(protocol), &seen);
        bed.fill(1, 0, 1).await;
        seen.until_len(1).await;
        running.end().await;
        let journal = bed.broker.journal();
        assert_eq!(journal.requests(ApiKey::LeaveGroup).len(), leaves);
        let group = bed.broker.inspect().group("billing").unwrap();
        assert!(group.members.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn an_assigned_consumer_reads_what_it_is_told_and_joins_no_group() {
    let bed = bed(2).await;
    bed.fill(2, 0, 10).await;
    let consumer = AssignedConsumer::builder(bed.cluster("reader").await)
        .build()
        .unwrap();
    let place = TopicPartition::new("orders", 1);
    consumer.assign([(place.clone(), StartAt::Offset(4.into()))]);
    let mut values = Vec::new();
    for _ in 0..6 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.topic_partition(), place);
        values.push(record.offset.to_wire());
    }
    assert_eq!(values, [4, 5, 6, 7, 8, 9]);
    assert_eq!(consumer.position(&place).unwrap(), Some(10.into()));
    assert!(
        timeout(Duration::from_secs(2), consumer.recv())
            .await
            .is_err()
    );
    assert!(bed.broker.journal().requests(ApiKey::JoinGroup).is_empty());
    consumer.seek(&place, StartAt::Beginning).unwrap();
    let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    assert_eq!(record.offset.to_wire(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_received_is_committed_on_request_only() {
    let bed = bed(1).await;
    bed.fill(1, 0, 10).await;
    let consumer = bed.builder().await.build().unwrap();
    for expected in 0..4 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.offset.to_wire(), expected);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bed.committed(0), None);
    consumer.commit().await.unwrap();
    assert_eq!(bed.committed(0), Some(4));
    let place = TopicPartition::new("orders", 0);
    let asked = consumer.committed([place.clone()]).await.unwrap();
    assert_eq!(asked[&place], Some(4.into()));
    let batch = timeout(LIMIT, consumer.recv_batch())
        .await
        .unwrap()
        .unwrap();
    let offsets: Vec<_> = batch.iter().map(|r| r.unwrap().offset.to_wire()).collect();
    assert_eq!(offsets, [4, 5, 6, 7, 8, 9]);
    consumer.commit().await.unwrap();
    assert_eq!(bed.committed(0), Some(10));
    consumer.close().await;
}
