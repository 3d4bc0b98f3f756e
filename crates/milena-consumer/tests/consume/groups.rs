//! Several members. They share partitions, hand them over in order, and never process one at the
//! same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena_broker::GroupState;
use milena_core::{Offset, Partition};
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::bed::{Seen, beds_with, eventually, run, run_noting};

#[tokio::test(start_paused = true)]
async fn members_share_partitions_and_one_that_leaves_hands_over_without_loss_or_repeat() {
    for bed in beds_with(6, |b| b).await {
        let seen = Seen::default();
        let first = run_noting(bed.builder_as("first").await, &seen);
        bed.fill(6, 0, 50).await;
        seen.until_len(300).await;
        let second = run_noting(bed.builder_as("second").await, &seen);
        let shared = || {
            let group = bed.broker.inspect().group("billing");
            group.is_some_and(|group| group.members.len() == 2 && group.state == GroupState::Stable)
        };
        eventually("both are members", shared).await;
        bed.fill(6, 50, 50).await;
        seen.until_len(600).await;
        let report = second.end().await;
        assert!(report.processed > 0, "the second member had its share");
        bed.fill(6, 100, 50).await;
        seen.until_len(900).await;
        first.end().await;
        for partition in 0..6 {
            assert_eq!(seen.of(partition), (0..150).collect::<Vec<_>>());
            assert_eq!(bed.committed(partition), Some(150));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_crashes_is_replaced_after_its_session_and_nothing_is_skipped() {
    for bed in beds_with(2, |b| b).await {
        bed.fill(2, 0, 40).await;
        let (first, second) = (Seen::default(), Seen::default());
        let running = run_noting(bed.builder_as("first").await, &first);
        first.until_len(80).await;
        running.crash();
        bed.fill(2, 40, 10).await;
        let running = run_noting(bed.builder_as("second").await, &second);
        second
            .until("the last record of each partition", |seen| {
                [0, 1]
                    .iter()
                    .all(|partition| seen.of(*partition).last() == Some(&49))
            })
            .await;
        running.end().await;
        for partition in [0, 1] {
            let values = second.of(partition);
            // The first member's records that it did not commit come again. None is left out.
            assert_eq!(values, (values[0]..50).collect::<Vec<_>>());
            assert!(values[0] <= 40);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_partition_is_processed_by_two_members_at_once_while_members_come_and_go() {
    for bed in beds_with(4, |b| b).await {
        let busy: Arc<Mutex<BTreeMap<Partition, u32>>> = Arc::default();
        let seen = Seen::default();
        let member = async |name: &str| {
            let (busy, seen) = (Arc::clone(&busy), seen.clone());
            let handler =
                move |partition: Partition, milena_core::Value(value): milena_core::Value| {
                    let (busy, seen) = (Arc::clone(&busy), seen.clone());
                    async move {
                        let others = busy.lock().insert(partition, 1);
                        assert!(
                            others.is_none_or(|others| others == 0),
                            "{partition} is with two members"
                        );
                        sleep(Duration::from_millis(30)).await;
                        busy.lock().insert(partition, 0);
                        seen.note_parts(partition, &value);
                    }
                };
            run(bed.builder_as(name).await, handler)
        };
        let first = member("a").await;
        bed.fill(4, 0, 400).await;
        let mut others = Vec::new();
        for (round, name) in ["b", "c", "d"].iter().enumerate() {
            seen.until_len(150 * (round + 1)).await;
            others.push(member(name).await);
        }
        for (round, other) in others.into_iter().enumerate() {
            seen.until_len(700 + 150 * round).await;
            other.end().await;
        }
        seen.until_len(1_600).await;
        first.end().await;
        for partition in 0..4 {
            assert_eq!(
                seen.of(partition),
                (0..400).collect::<Vec<_>>(),
                "in order, each once"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_longer_than_the_session_and_the_rebalance_timeout() {
    for bed in beds_with(1, |b| b).await {
        bed.fill(1, 0, 3).await;
        let seen = Seen::default();
        let noted = seen.clone();
        let handler = move |partition: Partition, milena_core::Value(value): milena_core::Value| {
            let noted = noted.clone();
            async move {
                sleep(Duration::from_secs(300)).await;
                noted.note_parts(partition, &value);
            }
        };
        let running = run(bed.builder().await, handler);
        sleep(Duration::from_secs(1_000)).await;
        let report = running.end().await;
        assert_eq!(seen.of(0), [0, 1, 2]);
        assert_eq!((report.processed, report.late), (3, 0));
        assert_eq!(bed.committed(0), Some(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_outlasts_the_drain_is_cut_and_its_record_goes_to_the_next_owner() {
    for bed in beds_with(1, |b| b).await {
        bed.fill(1, 0, 3).await;
        let handler = async |offset: Offset| {
            if offset.to_wire() == 1 {
                std::future::pending::<()>().await;
            }
        };
        let builder = bed.builder().await.drain_timeout(Duration::from_secs(5));
        let running = run(builder, handler);
        eventually("the first record is committed", || {
            bed.committed(0) == Some(1)
        })
        .await;
        let report = running.end().await;
        assert_eq!(report.processed, 1);
        assert_eq!(bed.committed(0), Some(1));
        let seen = Seen::default();
        let running = run_noting(bed.builder().await, &seen);
        seen.until_len(2).await;
        running.end().await;
        assert_eq!(seen.of(0), [1, 2]);
    }
}
