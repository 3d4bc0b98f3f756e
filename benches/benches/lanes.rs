//! The cost of a lane per record. Runs 100,000 records in memory through the lanes of one
//! partition, on one thread, with handlers that do nothing.

use std::future::Future;
use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use milena_core::{Backoff, Offset, Order, Outcome, ProducerRecord, TopicName};
use milena_lanes::{InMemory, IntoRoutes, Report, Rules, run};
use milena_middleware::batch::Batching;
use milena_middleware::{RecoveryLayer, RetryLayer, Stack};

/// The records of one run.
const RECORDS: u32 = 100_000;

/// Returns a source of records whose keys and values are slices of shared bytes, as in a fetched
/// frame.
fn source(order: Order) -> InMemory {
    let mut rules = Rules::default();
    rules.order = order;
    let topic = TopicName::from("orders").keep();
    let keys: Bytes = (0..1_024_u32).flat_map(u32::to_be_bytes).collect();
    let value = Bytes::from(vec![b'v'; 100]);
    let record = |number: u32| {
        let at = (number % 1_000 * 4) as usize;
        let record = ProducerRecord::new(topic.clone());
        record.key(keys.slice(at..at + 16)).value(value.clone())
    };
    InMemory::new(rules).with((0..RECORDS).map(record))
}

async fn nothing(offset: Offset) {
    black_box(offset);
}

async fn nothing_at_once(offsets: Vec<Offset>) -> Vec<Outcome> {
    offsets.iter().map(|_| Outcome::Ack).collect()
}

async fn ended<M, X>(order: Order, handler: X) -> Duration
where
    X: IntoRoutes<M>,
    X::Routes: milena_lanes::Driven,
{
    let source = source(order);
    let began = Instant::now();
    let report: Option<Report> = run(&source, handler).await.ok();
    let elapsed = began.elapsed();
    assert_eq!(report.map(|report| report.processed), Some(RECORDS.into()));
    elapsed
}

/// Measures `round`, which processes all records and returns the time that it took. An iteration
/// of criterion is one record.
fn measure<F: Future<Output = Duration>>(
    criterion: &mut Criterion,
    name: &str,
    round: impl Fn() -> F,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else { return };
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let rounds = times.div_ceil(RECORDS.into());
            let took: Duration = (0..rounds).map(|_| runtime.block_on(round())).sum();
            let records = rounds.saturating_mul(RECORDS.into());
            took.mul_f64(times as f64 / records as f64)
        });
    });
}

fn lanes(criterion: &mut Criterion) {
    measure(criterion, "lane/handler", || {
        ended(Order::Partition, Stack::new().handler(nothing))
    });
    measure(criterion, "lane/two layers", || {
        let stack = Stack::new()
            .layer(RetryLayer::new(Backoff::default()))
            .layer(RecoveryLayer::new());
        ended(Order::Partition, stack.handler(nothing))
    });
    measure(criterion, "lane/by key", || {
        ended(Order::Key(4), Stack::new().handler(nothing))
    });
    measure(criterion, "lane/batch", || {
        let batching = Batching::up_to(100);
        ended(
            Order::Partition,
            Stack::new().batch(batching, nothing_at_once),
        )
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4));
    targets = lanes
}
criterion_main!(benches);
