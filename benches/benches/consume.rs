//! Consumes 100 B and 1 KiB records from the embedded broker over TCP, as batches of views, as
//! owned records, and with a handler.
//!
//! The broker's threads run on the same machine as the consumer's. `benches/compare` measures the
//! consumer alone.
#![allow(missing_docs, reason = "criterion makes the entry points")]
#![allow(
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that goes wrong"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use milena_broker::Broker;
use milena_consumer::{AssignedConsumer, StartAt};
use milena_core::{ConsumerRecord, Outcome, TopicPartition};
use milena_pool::Cluster;
use milena_producer::Producer;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

const PARTITIONS: u32 = 4;

fn consume(criterion: &mut Criterion) {
    let (runtime, peer) = (threads(2), threads(1));
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .topic("orders-100", PARTITIONS)
        .topic("orders-1024", PARTITIONS)
        .journal(100);
    let broker = peer.block_on(broker.start()).unwrap();
    let connect = || async {
        let cluster = Cluster::builder(broker.bootstrap());
        cluster.connect().await.unwrap()
    };
    let mut group = criterion.benchmark_group("consume");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(4));
    for (size, records) in [(100, 1_000_000), (1024, 200_000)] {
        let topic = format!("orders-{size}");
        let cluster = runtime.block_on(connect());
        runtime.block_on(fill(cluster.clone(), &topic, size, records));
        group.throughput(Throughput::Elements(records));

        let consumer = AssignedConsumer::builder(cluster.clone()).build().unwrap();
        consumer.assign(beginnings(&topic));
        group.bench_function(format!("batches/{size} B"), |bencher| {
            bencher.iter_custom(|rounds| runtime.block_on(batches(&consumer, rounds, records)));
        });
        group.bench_function(format!("records/{size} B"), |bencher| {
            bencher.iter_custom(|rounds| runtime.block_on(singly(&consumer, rounds, records)));
        });
        group.bench_function(format!("handler/{size} B"), |bencher| {
            bencher
                .iter_custom(|rounds| runtime.block_on(handled(&cluster, &topic, rounds, records)));
        });
        runtime.block_on(consumer.close());
    }
    group.finish();
}

fn threads(count: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(count)
        .enable_all()
        .build()
        .unwrap()
}

fn beginnings(topic: &str) -> Vec<(TopicPartition, StartAt)> {
    let place = |partition| TopicPartition::new(topic, partition);
    (0..PARTITIONS)
        .map(|partition| (place(partition), StartAt::Beginning))
        .collect()
}

async fn fill(cluster: Cluster, topic: &str, size: usize, records: u64) {
    let producer = Producer::builder(cluster)
        .batch_size(64 << 10)
        .build()
        .unwrap();
    let (topic, value) = (producer.topic(topic), vec![b'x'; size]);
    for _ in 0..records {
        drop(topic.enqueue(None, Some(&value)).await.unwrap());
    }
    producer.flush().await.unwrap();
}

fn rewind(consumer: &AssignedConsumer) {
    for place in consumer.assignment() {
        consumer.seek(&place, StartAt::Beginning).unwrap();
    }
}

async fn batches(consumer: &AssignedConsumer, rounds: u64, records: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        rewind(consumer);
        let (mut count, mut sum) = (0, 0);
        while count < records {
            for record in consumer.recv_batch().await.unwrap().iter() {
                sum += record.unwrap().value.unwrap_or_default().len();
                count += 1;
            }
        }
        std::hint::black_box(sum);
    }
    start.elapsed()
}

async fn singly(consumer: &AssignedConsumer, rounds: u64, records: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        rewind(consumer);
        for _ in 0..records {
            std::hint::black_box(consumer.recv().await.unwrap());
        }
    }
    start.elapsed()
}

/// Each round has a new consumer, because the consumer of a handler cannot seek from outside.
async fn handled(cluster: &Cluster, topic: &str, rounds: u64, records: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        let consumer = AssignedConsumer::builder(cluster.clone()).build().unwrap();
        consumer.assign(beginnings(topic));
        let (count, all) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let told = Arc::clone(&all);
        let handler = move |record: ConsumerRecord| {
            let (count, told) = (Arc::clone(&count), Arc::clone(&told));
            async move {
                std::hint::black_box(record);
                if count.fetch_add(1, Ordering::Relaxed) + 1 == records {
                    told.notify_one();
                }
                Outcome::Ack
            }
        };
        consumer.run_until(handler, all.notified()).await.unwrap();
    }
    start.elapsed()
}

criterion_group!(benches, consume);
criterion_main!(benches);
