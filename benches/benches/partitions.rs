//! Consumes with 1,000 and 10,000 assigned partitions, one of which is busy. The cost of a batch
//! must not grow with idle partitions. The cost of an assignment must grow no faster than its size.
//!
//! The times of batches are the consumer's processor time, not the time by the clock. A broker
//! looks at all partitions of a fetch session for each fetch, so its own work grows.
#![allow(missing_docs, reason = "criterion makes the entry points")]
#![allow(
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that goes wrong"
)]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use milena_broker::Broker;
use milena_consumer::{AssignedConsumer, StartAt};
use milena_core::TopicPartition;
use milena_pool::Cluster;
use milena_producer::Producer;
use tokio::runtime::Builder;

/// The batches in the busy partition.
const BATCHES: u64 = 2_000;

fn partitions(criterion: &mut Criterion) {
    // The consumer runs on the bench's own thread, whose processor time can be read.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut peer = Builder::new_multi_thread();
    let peer = peer.worker_threads(1).enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("partitions");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(4));
    for count in [1_000, 10_000] {
        let broker = Broker::builder()
            .listen("127.0.0.1:0")
            .topic("orders", count)
            .journal(100);
        let broker = peer.block_on(broker.start()).unwrap();
        let cluster = runtime.block_on(async {
            let cluster = Cluster::builder(broker.bootstrap());
            cluster.connect().await.unwrap()
        });
        runtime.block_on(fill(cluster.clone()));
        let all: Vec<_> = (0..count)
            .map(|partition| TopicPartition::new("orders", partition))
            .collect();
        let starts = || all.iter().map(|place| (place.clone(), StartAt::Beginning));

        let idle = AssignedConsumer::builder(cluster.clone()).build().unwrap();
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(format!("assigned and given up/{count}"), |bencher| {
            bencher.iter(|| {
                idle.assign(starts());
                idle.unassign(all.iter().cloned());
            });
        });

        // Each partition may fill its part of the buffer. The parts are equally large here, so that
        // both counts need equally many fetches.
        let consumer = AssignedConsumer::builder(cluster);
        let consumer = consumer.buffer_memory(count as usize * 64 * 1024);
        let consumer = consumer.build().unwrap();
        consumer.assign(starts());
        group.throughput(Throughput::Elements(BATCHES));
        group.bench_function(format!("batches of one/{count}"), |bencher| {
            bencher.iter_custom(|rounds| runtime.block_on(read(&consumer, &all, rounds)));
        });
        runtime.block_on(consumer.close());
    }
    group.finish();
}

/// Reads the busy partition from its beginning, once for each round. Returns this thread's
/// processor time from the first batch to the last.
async fn read(consumer: &AssignedConsumer, all: &[TopicPartition], rounds: u64) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        if let Some(busy) = all.first() {
            consumer.seek(busy, StartAt::Beginning).unwrap();
        }
        consumer.recv_batch().await.unwrap();
        let began = processor_time();
        for _ in 1..BATCHES {
            consumer.recv_batch().await.unwrap();
        }
        took += processor_time() - began;
    }
    took
}

async fn fill(cluster: Cluster) {
    let producer = Producer::builder(cluster).build().unwrap();
    for _ in 0..BATCHES {
        let record = milena_core::ProducerRecord::new("orders").partition(0);
        producer.send(record.value("x")).await.unwrap();
    }
}

/// Returns the time for which this thread has run.
fn processor_time() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = told.split(' ').next().unwrap().parse().unwrap();
    Duration::from_nanos(nanoseconds)
}

criterion_group!(benches, partitions);
criterion_main!(benches);
