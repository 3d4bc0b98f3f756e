//! All kinds of changes at once, by seed. Leaders, brokers, connections, replicas and metadata
//! change while answers are lost.

use std::time::Duration;

use milena_broker::{ApiKey, BrokerBuilder, ErrorCode, Fault};
use milena_core::ProducerRecord;
use milena_producer::{Acks, Compression, ProducerBuilder};
use tokio::time::timeout;

use crate::bed::{Bed, Counts, Ledger, bed_with};

const SECOND: Duration = Duration::from_secs(1);
const PARTITIONS: u32 = 3;
const NODES: i32 = 3;

/// The temporary errors of brokers. All except the first may also be answered after the append.
const PASSING: [ErrorCode; 5] = [
    ErrorCode::NOT_ENOUGH_REPLICAS,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::KAFKA_STORAGE_ERROR,
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::REQUEST_TIMED_OUT,
];

fn refused(random: &mut fastrand::Rng, first: ErrorCode) -> Fault {
    let at = random.usize(..PASSING.len());
    match at > 0 && random.bool() {
        true => Fault::apply_then_error(PASSING[at]),
        false if at > 0 => Fault::error(PASSING[at]),
        false => Fault::error(first),
    }
}

fn disturb(bed: &Bed, random: &mut fastrand::Rng, refusal: ErrorCode) {
    let inspect = bed.broker.inspect();
    let faults = bed.broker.faults();
    let (partition, node) = (random.u32(..PARTITIONS), random.i32(1..=NODES));
    match random.u32(..12) {
        0 | 1 => {
            // A leader that is not in sync would lose acknowledged records.
            let in_sync = inspect.in_sync("orders", partition);
            inspect.move_leader("orders", partition, in_sync[random.usize(..in_sync.len())]);
        }
        2 => inspect.broker_down(node),
        3 | 4 => (1..=NODES).for_each(|node| inspect.broker_up(node)),
        5 => inspect.cut_connections(node),
        6 => {
            inspect.stop_replica("orders", partition, node);
        }
        7 => {
            inspect.resume_replica("orders", partition, node);
        }
        8 => drop(faults.add(Fault::hide_topic("orders"))),
        9 => drop(faults.add(Fault::stale_metadata().times(2))),
        10 => {
            let fault = match random.u32(..4) {
                0 => Fault::disconnect(),
                1 => Fault::apply_then_disconnect(),
                2 => Fault::apply_then_silence(),
                _ => Fault::delay_answer(Duration::from_millis(random.u64(..300))),
            };
            faults.add(fault.on(ApiKey::Produce));
        }
        _ => drop(faults.add(refused(random, refusal).on(ApiKey::Produce))),
    }
}

/// Produces while the cluster is disturbed, then heals it. Returns the number of records by
/// outcome.
async fn storm(
    seed: u64,
    refusal: ErrorCode,
    set: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
) -> Counts {
    // The client draws its backoffs from this thread's random generator.
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let change = |broker: BrokerBuilder| broker.brokers(3).replica_lag_time_max(2 * SECOND);
    let bed = bed_with(PARTITIONS, change).await;
    let builder = bed.builder().request_timeout(2 * SECOND);
    let producer = set(builder).build().unwrap();
    let mut ledger = Ledger::default();
    for number in 0..150u32 {
        if random.u32(..4) == 0 {
            disturb(&bed, &mut random, refusal);
        }
        let record = ProducerRecord::new("orders").partition(random.u32(..PARTITIONS));
        ledger
            .enqueue(&producer, record.value(number.to_string()))
            .await;
        if random.u32(..3) > 0 {
            tokio::time::sleep(Duration::from_millis(random.u64(..40))).await;
        }
    }
    bed.broker.faults().clear();
    for node in 1..=NODES {
        bed.broker.inspect().broker_up(node);
        for partition in 0..PARTITIONS {
            bed.broker
                .inspect()
                .resume_replica("orders", partition, node);
        }
    }
    let counts = timeout(60 * SECOND, ledger.hold(&bed)).await;
    let counts = counts.unwrap_or_else(|_| panic!("seed {seed}: a record waits for ever"));
    for partition in 0..PARTITIONS {
        let last = ProducerRecord::new("orders")
            .partition(partition)
            .value("last");
        let trying = async { while producer.send(last.clone()).await.is_err() {} };
        timeout(10 * SECOND, trying).await.expect("it goes on");
    }
    producer.close(SECOND).await.unwrap();
    assert_eq!(Bed::held(&producer), 0, "seed {seed}");
    counts
}

#[tokio::test(start_paused = true)]
async fn whatever_changes_every_record_is_written_once_and_in_order() {
    for seed in 0..40 {
        let counts = storm(seed, PASSING[0], |builder| builder).await;
        assert_eq!(counts.delivered, 150, "seed {seed}: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_run_out_of_time_say_what_is_true_of_them_and_hold_nobody_up() {
    let mut all = Counts::default();
    for seed in 300..330 {
        let set = |builder: ProducerBuilder| {
            let builder = builder.request_timeout(Duration::from_millis(300));
            builder.delivery_timeout(Duration::from_millis(400))
        };
        let counts = storm(seed, PASSING[0], set).await;
        all.delivered += counts.delivered;
        all.not_written += counts.not_written;
        all.possibly_written += counts.possibly_written;
    }
    // With fewer, the run was too quiet to show anything.
    assert!(all.not_written > 50 && all.possibly_written > 50, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn small_compressed_batches_one_request_at_a_time_are_no_different() {
    for seed in 100..120 {
        let set = |builder: ProducerBuilder| {
            let builder = builder.max_in_flight(1).batch_size(64);
            builder
                .compression(Compression::LZ4)
                .linger(Duration::from_millis(3))
        };
        let counts = storm(seed, PASSING[0], set).await;
        assert_eq!(counts.delivered, 150, "seed {seed}: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_are_refused_for_good_take_nobody_along() {
    let mut all = Counts::default();
    for seed in 400..420 {
        let counts = storm(seed, ErrorCode::INVALID_RECORD, |builder| builder).await;
        assert!(counts.delivered > 100, "seed {seed}: {counts:?}");
        all.not_written += counts.not_written;
    }
    assert!(all.not_written > 10, "{all:?}");
}

/// Without sequences a lost answer may cause a duplicate. The order and the memory are right all
/// the same.
#[tokio::test(start_paused = true)]
async fn a_leader_that_acknowledges_alone_is_followed_as_well() {
    for seed in 200..210 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bed = bed_with(PARTITIONS, |broker| broker.brokers(3)).await;
        let builder = bed.builder().acks(Acks::Leader);
        let producer = builder.build().unwrap();
        let mut ledger = Ledger::default();
        for number in 0..100u32 {
            if random.u32(..6) == 0 {
                let (partition, node) = (random.u32(..PARTITIONS), random.i32(1..=NODES));
                bed.broker.inspect().move_leader("orders", partition, node);
            }
            let record = ProducerRecord::new("orders").partition(number % PARTITIONS);
            ledger
                .enqueue(&producer, record.value(number.to_string()))
                .await;
            tokio::time::sleep(Duration::from_millis(random.u64(..10))).await;
        }
        assert_eq!(ledger.hold(&bed).await.delivered, 100);
    }
}
