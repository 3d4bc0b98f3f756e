//! Records that may go to any partition avoid slow ones.

use std::collections::BTreeSet;
use std::time::Duration;

use milena_broker::{ApiKey, Fault};
use milena_core::{ErrorKind, ProducerRecord};
use milena_producer::ProducerBuilder;
use tokio::time::Instant;

use crate::bed::{Bed, bed, failures};

/// Returns the number of records in the partitions that node 1 leads, and in all others.
async fn shares(bed: &Bed, change: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> [i64; 2] {
    let builder = bed.builder().batch_size(16 << 10).buffer_memory(1 << 20);
    let producer = change(builder).build().unwrap();
    let value = "x".repeat(1000);
    let mut all = Vec::new();
    for _ in 0..5000 {
        let record = ProducerRecord::new("orders").value(value.clone());
        all.push(producer.enqueue(record).await.unwrap());
    }
    assert_eq!(failures(all).await, 0);
    let mut shares = [0, 0];
    for partition in 0..4 {
        let inspect = bed.broker.inspect();
        let (leader, _) = inspect.leader("orders", partition).unwrap();
        shares[usize::from(leader != 1)] += inspect.end_offset("orders", partition).unwrap();
    }
    shares
}

fn slow(time: Duration) -> Fault {
    Fault::delay_answer(time)
        .on(ApiKey::Produce)
        .node(1)
        .always()
}

#[tokio::test(start_paused = true)]
async fn a_slow_broker_gets_fewer_records() {
    let bed = bed(4).await;
    bed.broker.faults().add(slow(Duration::from_millis(200)));
    let [slow, quick] = shares(&bed, |builder| builder).await;
    assert!(slow > 0 && slow * 2 < quick, "slow {slow}, quick {quick}");
}

#[tokio::test(start_paused = true)]
async fn brokers_that_are_alike_get_alike() {
    let bed = bed(4).await;
    let [one, other] = shares(&bed, |builder| builder).await;
    assert!((1500..=3500).contains(&one), "{one} and {other}");
}

#[tokio::test(start_paused = true)]
async fn without_adapting_a_slow_broker_gets_its_turn() {
    let bed = bed(4).await;
    bed.broker.faults().add(slow(Duration::from_millis(200)));
    let [slow, quick] = shares(&bed, |builder| builder.adaptive_partitioning(false)).await;
    assert!(slow * 3 > quick * 2, "slow {slow}, quick {quick}");
}

#[tokio::test(start_paused = true)]
async fn settings_of_spreading_that_disagree_are_named() {
    let bed = bed(1).await;
    let builder = bed.builder().adaptive_partitioning(false);
    let refused = builder
        .partitioner_availability_timeout(Duration::from_secs(1))
        .build();
    let error = refused.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
    let text = error.to_string();
    assert!(
        text.contains("partitioner.availability.timeout.ms") && text.contains("adaptive"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_nothing_for_too_long_is_avoided() {
    let bed = bed(4).await;
    let silent = Fault::silence().on(ApiKey::Produce).node(1).always();
    bed.broker.faults().add(silent);
    let limit = Duration::from_millis(300);
    let builder = bed.builder().batch_size(8 << 10);
    let producer = builder
        .partitioner_availability_timeout(limit)
        .build()
        .unwrap();
    let mut placed = Vec::new();
    // A record each millisecond, for ten seconds.
    for _ in 0..10_000 {
        let record = ProducerRecord::new("orders").value("x".repeat(1000));
        let delivery = producer.enqueue(record).await.unwrap();
        let partition = delivery.partition().partition.index() as u32;
        let (leader, _) = bed.broker.inspect().leader("orders", partition).unwrap();
        placed.push(leader);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(placed[..2000].contains(&1), "it is tried at first");
    assert!(!placed[5000..].contains(&1), "it is avoided later");
}

/// Sends 800 requests to two brokers that take 20 ms for each. Returns the time that it took, and
/// the number of connections.
async fn flood(change: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> (Duration, usize) {
    let bed = bed(8).await;
    let busy = Fault::delay(Duration::from_millis(20));
    bed.broker.faults().add(busy.on(ApiKey::Produce).always());
    // Each record is a batch of its own, in a request of its own.
    let builder = bed.builder().batch_records(1).max_request_size(1024);
    let producer = change(builder).build().unwrap();
    let start = Instant::now();
    let mut all = Vec::new();
    for number in 0..800_u32 {
        let record = ProducerRecord::new("orders").partition(number % 8);
        let record = record.value(format!("{number:0600}"));
        all.push(producer.enqueue(record).await.unwrap());
    }
    assert_eq!(failures(all).await, 0);
    let taken = start.elapsed();
    for partition in 0..8 {
        let values = bed.values(partition);
        let numbers = values.iter().map(|value| value.parse::<u32>().unwrap());
        assert!(numbers.eq((0..100).map(|round| round * 8 + partition)));
    }
    let requests = bed.broker.journal().requests(ApiKey::Produce);
    let connections: BTreeSet<_> = requests.iter().map(|entry| entry.connection()).collect();
    (taken, connections.len())
}

#[tokio::test(start_paused = true)]
async fn partitions_that_wait_behind_each_other_go_by_connections_of_their_own() {
    let (serial, one_each) = flood(|builder| builder.max_connections_per_broker(1)).await;
    let (shared, connections) = flood(|builder| builder).await;
    assert_eq!((one_each, connections), (2, 8));
    assert!(shared * 2 < serial, "{shared:?} of {serial:?}");
}
