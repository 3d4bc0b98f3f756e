//! Parts of the producer. Places records in open batches, seals a batch with each codec, and
//! chooses partitions.
#![allow(missing_docs, reason = "criterion makes the entry points")]
#![allow(
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that goes wrong"
)]

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use milena_broker::Broker;
use milena_core::{HeadersRef, Timestamp};
use milena_pool::Cluster;
use milena_producer::partitioner::{NAMES, Partitioning, by_name};
use milena_producer::{Compression, Producer, Topic};
use milena_protocol::batch::BatchBuilder;
use tokio::runtime::Runtime;

/// The records that are placed between two waits for their delivery. They fit into the buffer.
const RUN: u64 = 20_000;

fn accumulate(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (_broker, orders) = runtime.block_on(topic());
    let values: Vec<_> = (0..RUN).map(|number| value(number, 100)).collect();
    let mut group = criterion.benchmark_group("accumulate");
    group.throughput(Throughput::Elements(RUN));
    group.bench_function("enqueue, 100 B", |bencher| {
        bencher
            .iter_custom(|rounds| timed(&runtime, &orders, rounds, &values, Way::OneByOne(None)));
    });
    group.bench_function("enqueue with a key, 100 B", |bencher| {
        let way = Way::OneByOne(Some(b"customer-0000007"));
        bencher.iter_custom(|rounds| timed(&runtime, &orders, rounds, &values, way));
    });
    group.bench_function("enqueue_all, 100 B", |bencher| {
        bencher.iter_custom(|rounds| timed(&runtime, &orders, rounds, &values, Way::Together));
    });
    group.finish();
}

#[derive(Clone, Copy)]
enum Way {
    OneByOne(Option<&'static [u8]>),
    Together,
}

/// Returns the time for placing records. The time for sending them does not count.
fn timed(runtime: &Runtime, orders: &Topic, rounds: u64, values: &[Vec<u8>], way: Way) -> Duration {
    runtime.block_on(async {
        let mut spent = Duration::ZERO;
        for _ in 0..rounds {
            match way {
                Way::OneByOne(key) => {
                    let mut open = Vec::with_capacity(values.len());
                    let start = Instant::now();
                    for value in values {
                        open.push(orders.enqueue(key, Some(value)).await.unwrap());
                    }
                    spent += start.elapsed();
                    for delivery in open {
                        delivery.await.unwrap();
                    }
                }
                Way::Together => {
                    let start = Instant::now();
                    let sent = orders.enqueue_all(values).await;
                    spent += start.elapsed();
                    sent.all_delivered().await.unwrap();
                }
            }
        }
        spent
    })
}

async fn topic() -> (Broker, Topic) {
    let broker = Broker::builder()
        .topic("orders", 4)
        .retention_bytes(64 << 20)
        .journal(100);
    let broker = broker.start().await.unwrap();
    let cluster = Cluster::builder(broker.bootstrap()).connector(broker.dialer());
    let producer = Producer::builder(cluster.connect().await.unwrap()).build();
    (broker, producer.unwrap().topic("orders"))
}

fn seal(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("seal");
    for (count, size) in [(10_000, 100), (1_000, 1024)] {
        let full = || {
            let mut builder = BatchBuilder::with_buffer(Vec::with_capacity(2 << 20));
            for number in 0..count {
                let value = value(number, size);
                let now = Timestamp::from_millis(1_700_000_000_000);
                builder
                    .append(now, None, Some(&value), HeadersRef::empty())
                    .unwrap();
            }
            builder
        };
        group.throughput(Throughput::Bytes(full().body_len() as u64));
        for (name, compression) in [
            ("none", Compression::None),
            ("gzip", Compression::GZIP),
            ("snappy", Compression::Snappy),
            ("lz4", Compression::LZ4),
            ("zstd", Compression::ZSTD),
        ] {
            group.bench_function(format!("{name}, {count} x {size} B"), |bencher| {
                // Like the producer, this seals into a buffer of an earlier batch.
                let mut spare = Vec::with_capacity(2 << 20);
                let seal = |builder: BatchBuilder| {
                    let take = |_| std::mem::take(&mut spare);
                    let (sealed, back) = builder.seal_into(compression, take).unwrap();
                    let body = sealed.reclaim().unwrap();
                    match back {
                        Some(back) => {
                            spare = body;
                            back
                        }
                        None => body,
                    }
                };
                bencher.iter_batched(full, seal, BatchSize::LargeInput);
            });
        }
    }
    group.finish();
}

fn partition(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("partition");
    let keys: Vec<_> = (0..1024).map(|n| format!("customer-{n:07}")).collect();
    group.throughput(Throughput::Elements(keys.len() as u64));
    for name in NAMES {
        let scheme = by_name(name).unwrap();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for key in &keys {
                    let record = Partitioning::new("orders", Some(key.as_bytes()), None, 16);
                    std::hint::black_box(scheme.choose(&record));
                }
            });
        });
    }
    group.finish();
}

/// Returns a JSON-like text that differs from record to record.
fn value(number: u64, size: usize) -> Vec<u8> {
    let mut state = number + 11;
    let mut text = String::from("{");
    while text.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        text.push_str(&format!("\"field-{}\":{},", state % 17, state % 1_000_000));
    }
    text.truncate(size);
    text.into_bytes()
}

criterion_group!(benches, accumulate, seal, partition);
criterion_main!(benches);
