//! The producer as a whole, over a cluster in memory that fails as scripted. The clock is paused.

use std::sync::Arc;
use std::time::Duration;

use milena_core::{ErrorCode, ErrorKind, Persistence, ProducerRecord};
use tokio::time::Instant;

use crate::settings::SettingsDraft;
use crate::tests::stub::{Act, Stub};
use crate::{Delivery, Producer};

pub(crate) fn producer(stub: &Arc<Stub>, change: impl FnOnce(&mut SettingsDraft)) -> Producer {
    let mut draft = SettingsDraft::default();
    change(&mut draft);
    Producer::start(draft.check().unwrap(), stub.clone()).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and texts read best")]
pub(crate) fn record(value: impl ToString) -> ProducerRecord {
    ProducerRecord::new("orders")
        .partition(0)
        .value(value.to_string())
}

pub(crate) fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Enqueues `count` numbered records, each in a batch of its own, before any answer comes.
pub(crate) async fn batches(producer: &Producer, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    for number in 0..count {
        all.push(producer.enqueue(record(number)).await.unwrap());
        producer.flush_without_waiting().await;
    }
    all
}

pub(crate) async fn outcomes(deliveries: Vec<Delivery>) -> Vec<Option<i64>> {
    let mut all = Vec::new();
    for delivery in deliveries {
        let metadata = delivery.await.unwrap();
        all.push(metadata.offset.map(milena_core::Offset::to_wire));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_record_is_sent_at_once_and_its_offset_told() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    let start = Instant::now();
    let metadata = producer.send(record("a")).await.unwrap();
    assert_eq!(metadata.offset, Some(0.into()));
    assert!(start.elapsed() < Duration::from_millis(3));
    assert_eq!(stub.values(0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn records_that_come_while_an_answer_is_out_share_a_request() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    producer.send(record("first")).await.unwrap();
    let mut all = Vec::new();
    for number in 0..1000 {
        all.push(producer.enqueue(record(number)).await.unwrap());
    }
    assert_eq!(outcomes(all).await.last(), Some(&Some(1000)));
    assert!(stub.state.lock().requests <= 6);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_neither_duplicate_nor_loss() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    producer.send(record("0")).await.unwrap();
    stub.script([Act::ServeThenCut, Act::Serve, Act::Cut]);
    let mut all = Vec::new();
    for number in 1..4 {
        all.push(producer.send(record(number)).await.unwrap());
    }
    assert_eq!(stub.values(0), numbers(4));
    assert_eq!(stub.state.lock().dials, 3);
}

#[tokio::test(start_paused = true)]
async fn five_in_flight_with_the_first_failing_keep_their_order() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    producer.send(record("warm")).await.unwrap();
    stub.script([Act::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS)]);
    let all = batches(&producer, 7).await;
    assert_eq!(outcomes(all).await, (1..8).map(Some).collect::<Vec<_>>());
    assert_eq!(stub.values(0)[1..], numbers(7));
}

#[tokio::test(start_paused = true)]
async fn a_batch_in_doubt_is_not_overtaken_by_more_than_a_broker_remembers() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    producer.send(record("warm")).await.unwrap();
    // The oldest batch is appended, but its answer times out twice. The batches behind it are
    // acknowledged.
    let late = Act::ServeThenRefuse(ErrorCode::REQUEST_TIMED_OUT);
    let serve = Act::Serve;
    stub.script([late, serve, serve, serve, serve, late]);
    let all = batches(&producer, 20).await;
    assert_eq!(outcomes(all).await, (1..21).map(Some).collect::<Vec<_>>());
    assert_eq!(stub.values(0)[1..], numbers(20));
}

#[tokio::test(start_paused = true)]
async fn a_leader_move_keeps_the_order() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    producer.send(record("warm")).await.unwrap();
    let before = batches(&producer, 3).await;
    stub.lead(0, Some(2));
    let after = batches(&producer, 3).await;
    for delivery in before.into_iter().chain(after) {
        delivery.await.unwrap();
    }
    assert_eq!(stub.values(0)[1..], ["0", "1", "2", "0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_waits_for_one() {
    let stub = Stub::new(1);
    stub.state.lock().leaders[0] = None;
    let producer = producer(&stub, |_| ());
    let delivery = producer.enqueue(record("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(delivery.outcome().is_none());
    stub.lead(0, Some(3));
    delivery.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_down_gets_the_records_when_it_is_back() {
    let stub = Stub::new(1);
    stub.state.lock().down.push(1);
    let producer = producer(&stub, |_| ());
    let delivery = producer.enqueue(record("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert!((10..100).contains(&stub.state.lock().dials));
    stub.state.lock().down.clear();
    delivery.await.unwrap();
    assert_eq!(stub.values(0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_never_sent_times_out_as_not_written_and_says_why() {
    let stub = Stub::new(1);
    stub.state.lock().down.push(1);
    let producer = producer(&stub, |_| ());
    let start = Instant::now();
    let error = producer.send(record("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    assert_eq!(start.elapsed().as_secs(), 120);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("refused"), "{cause}");
}

#[tokio::test(start_paused = true)]
async fn a_record_without_an_answer_times_out_as_possibly_written_and_the_next_is_not_lost() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    producer.send(record("warm")).await.unwrap();
    stub.script([Act::ServeThenRefuse(ErrorCode::REQUEST_TIMED_OUT)]);
    stub.script((0..10_000).map(|_| Act::Refuse(ErrorCode::NOT_ENOUGH_REPLICAS)));
    let error = producer.send(record("doubtful")).await.unwrap_err();
    assert_eq!(error.persistence(), Some(Persistence::PossiblyWritten));
    stub.state.lock().script.clear();
    let next = producer.send(record("next")).await.unwrap();
    assert_eq!(next.offset, Some(2.into()));
    assert_eq!(stub.values(0), ["warm", "doubtful", "next"]);
    let journal = stub.state.lock().logs[0].journal.clone();
    assert_eq!(journal.last(), Some(&(1, 0, 1)), "a new epoch, from zero");
}

#[tokio::test(start_paused = true)]
async fn a_refused_record_fails_alone_and_those_behind_it_are_written() {
    let stub = Stub::new(1);
    let producer = producer(&stub, |_| ());
    producer.send(record("warm")).await.unwrap();
    stub.script([Act::Refuse(ErrorCode::INVALID_RECORD)]);
    let mut all = batches(&producer, 4).await;
    let error = all.remove(0).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_RECORD));
    assert_eq!(error.persistence(), Some(Persistence::NotWritten));
    for delivery in all {
        delivery.await.unwrap();
    }
    assert_eq!(stub.values(0), ["warm", "1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_epoch_for_one_partition_leaves_the_other_alone() {
    let stub = Stub::new(2);
    let producer = producer(&stub, |_| ());
    let other = |value: &str| {
        ProducerRecord::new("orders")
            .partition(1)
            .value(value.to_owned())
    };
    producer.send(record("warm")).await.unwrap();
    producer.send(other("warm")).await.unwrap();
    stub.script([
        Act::Refuse(ErrorCode::UNKNOWN_PRODUCER_ID),
        Act::ServeThenCut,
    ]);
    let first = producer.enqueue(record("a")).await.unwrap();
    producer.flush_without_waiting().await;
    let second = producer.enqueue(other("b")).await.unwrap();
    first.await.unwrap();
    second.await.unwrap();
    producer.send(other("c")).await.unwrap();
    assert_eq!(stub.values(0), ["warm", "a"]);
    assert_eq!(stub.values(1), ["warm", "b", "c"]);
    let journal = stub.state.lock().logs[1].journal.clone();
    assert!(journal.contains(&(0, 1, 1)), "{journal:?}");
}
