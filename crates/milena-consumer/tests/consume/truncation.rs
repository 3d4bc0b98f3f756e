//! A log that was truncated below the position is noticed and reported. Errors that only pass reset
//! nothing (KIP-320).

use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::{ConsumerBuilder, OffsetReset};
use milena_core::{ErrorKind, Event, Observer, TopicPartition};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::bed::{Bed, LIMIT, Seen, bed_with, eventually, run_noting};

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn on(&self, event: &Event<'_>) {
        match event {
            Event::LogTruncated { from, to, .. } => {
                self.0.lock().push(format!("truncated {from} to {to:?}"));
            }
            Event::OffsetReset { from, to, .. } => {
                self.0.lock().push(format!("reset {from} to {to}"));
            }
            _ => {}
        }
    }
}

fn place() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

async fn replicated() -> Bed {
    bed_with(1, |builder| builder.replication_factor(2)).await
}

fn other(bed: &Bed) -> i32 {
    let (leader, _) = bed.broker.inspect().leader("orders", 0).unwrap();
    let replicas = bed.broker.inspect().replicas("orders", 0);
    replicas.into_iter().find(|node| *node != leader).unwrap()
}

/// Writes ten records to both replicas and ten more to the leader only, and reads all. Then the
/// other replica becomes the leader and five other records follow.
async fn read_what_an_unclean_election_takes(
    bed: &Bed,
    builder: ConsumerBuilder,
) -> (milena_consumer::Consumer, Vec<i64>) {
    let inspect = bed.broker.inspect();
    bed.fill(1, 0, 10).await;
    let behind = other(bed);
    inspect.stop_replica("orders", 0, behind);
    inspect.shrink_in_sync("orders", 0, behind);
    bed.fill(1, 10, 10).await;
    let consumer = builder.build().unwrap();
    let mut offsets = Vec::new();
    for _ in 0..20 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        offsets.push(record.offset.to_wire());
    }
    assert!(inspect.move_leader("orders", 0, behind));
    assert_eq!(inspect.end_offset("orders", 0), Some(10), "they are lost");
    bed.fill(1, 100, 15).await;
    (consumer, offsets)
}

#[tokio::test(start_paused = true)]
async fn a_cut_log_is_told_and_read_from_where_it_parts() {
    let bed = replicated().await;
    let told = Arc::new(Told::default());
    let builder = bed.builder().await.add_observer(told.clone());
    let (consumer, _) = read_what_an_unclean_election_takes(&bed, builder).await;
    for expected in 10..25 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(
            record.offset.to_wire(),
            expected,
            "records of the new leader"
        );
        let number = 90 + expected;
        assert_eq!(record.value.unwrap(), number.to_string());
    }
    assert_eq!(*told.0.lock(), ["truncated 20 to Some(10)"]);
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_a_cut_log_is_a_typed_error_with_its_place() {
    let bed = replicated().await;
    let consumer = bed.builder().await.build().unwrap();
    bed.fill(1, 0, 1).await;
    timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    consumer
        .seek(&place(), milena_consumer::StartAt::Beginning)
        .unwrap();
    timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    consumer
        .commit_offsets([(place(), milena_core::Offset::ZERO)])
        .await
        .unwrap();
    consumer.close().await;
    let builder = bed.builder().await.auto_offset_reset(OffsetReset::None);
    let inspect = bed.broker.inspect();
    bed.fill(1, 1, 9).await;
    let behind = other(&bed);
    inspect.stop_replica("orders", 0, behind);
    inspect.shrink_in_sync("orders", 0, behind);
    bed.fill(1, 10, 10).await;
    let consumer = builder.build().unwrap();
    for _ in 0..20 {
        timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    }
    inspect.move_leader("orders", 0, behind);
    bed.fill(1, 100, 15).await;
    let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LogTruncated);
    let text = error.to_string();
    for part in ["orders", "position 20", "offset 10"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let again = timeout(Duration::from_secs(30), consumer.recv()).await;
    assert!(again.is_err(), "nothing is read before a seek");
    let to = error.place().offset.unwrap();
    consumer.seek(&place(), to).unwrap();
    let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    assert_eq!(record.offset.to_wire(), 10);
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_committed_offset_is_held_against_the_log_before_the_first_fetch() {
    let bed = replicated().await;
    let (consumer, _) = read_what_an_unclean_election_takes(&bed, bed.builder().await).await;
    drop(consumer);
    let bed = replicated().await;
    let inspect = bed.broker.inspect();
    bed.fill(1, 0, 10).await;
    let behind = other(&bed);
    inspect.stop_replica("orders", 0, behind);
    inspect.shrink_in_sync("orders", 0, behind);
    bed.fill(1, 10, 10).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(20).await;
    running.end().await;
    assert_eq!(bed.committed(0), Some(20));
    inspect.move_leader("orders", 0, behind);
    bed.fill(1, 100, 15).await;
    bed.broker.journal().clear();
    let told = Arc::new(Told::default());
    let seen = Seen::default();
    let running = run_noting(bed.builder().await.add_observer(told.clone()), &seen);
    seen.until_len(15).await;
    running.end().await;
    assert_eq!(seen.of(0), (100..115).collect::<Vec<_>>());
    assert_eq!(*told.0.lock(), ["truncated 20 to Some(10)"]);
    let journal = bed.broker.journal();
    let asked = journal.requests(ApiKey::OffsetForLeaderEpoch);
    let fetched = journal.requests(ApiKey::Fetch);
    assert!(asked[0].number() < fetched[0].number(), "asked first");
}

/// Moves the leader while a consumer reads. `fault` hits the request about its epoch.
async fn survives(fault: Fault) {
    let bed = replicated().await;
    bed.fill(1, 0, 10).await;
    let told = Arc::new(Told::default());
    let seen = Seen::default();
    let running = run_noting(bed.builder().await.add_observer(told.clone()), &seen);
    seen.until_len(10).await;
    let fault = fault.on(ApiKey::OffsetForLeaderEpoch);
    let handle = bed.broker.faults().add(fault);
    bed.broker.inspect().move_leader("orders", 0, other(&bed));
    bed.fill(1, 10, 10).await;
    seen.until_len(20).await;
    eventually("the fault has fired", || handle.fired() > 0).await;
    running.end().await;
    assert_eq!(seen.of(0), (0..20).collect::<Vec<_>>(), "each once");
    assert!(told.0.lock().is_empty(), "nothing was reset");
}

#[tokio::test(start_paused = true)]
async fn what_passes_while_a_position_is_unsure_resets_nothing_and_repeats_nothing() {
    survives(Fault::disconnect().times(3)).await;
    survives(Fault::apply_then_disconnect()).await;
    survives(Fault::silence()).await;
    survives(Fault::delay(Duration::from_secs(8))).await;
    survives(Fault::delay_answer(Duration::from_secs(8))).await;
    survives(Fault::omit_partition()).await;
    for code in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::FENCED_LEADER_EPOCH,
        ErrorCode::UNKNOWN_LEADER_EPOCH,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode::KAFKA_STORAGE_ERROR,
    ] {
        survives(Fault::error(code).times(2)).await;
    }
}
