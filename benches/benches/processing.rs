//! The cost of layers per record. Runs the standard stack around a handler that does nothing,
//! static and boxed.

use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::task::{Context, Poll};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use milena_core::{
    Backoff, BoxError, CancelToken, ConsumerRecord, Error, Incoming, Offset, Outcome,
    ProducerRecord, RecordMetadata, Routes, SharedRecord, TopicName,
};
use milena_middleware::{
    CircuitBreakerLayer, DeadLetterLayer, LogLayer, RecoveryLayer, RetryLayer, Router, Stack,
    TimeoutLayer,
};
use tower_service::Service;

/// A sink that accepts every letter and drops it.
#[derive(Clone, Copy)]
struct Nowhere;

impl Service<ProducerRecord> for Nowhere {
    type Response = RecordMetadata;
    type Error = Error;
    type Future = Ready<Result<RecordMetadata, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, record: ProducerRecord) -> Self::Future {
        ready(Ok(RecordMetadata {
            topic: record.topic,
            partition: 0.into(),
            offset: None,
            timestamp: None,
        }))
    }
}

fn record() -> ConsumerRecord {
    // The consumer keeps the names of topics that a cluster has confirmed.
    let mut record = ConsumerRecord::new(TopicName::from("orders").keep(), 3, 17);
    record.key = Some(vec![b'k'; 16].into());
    record.value = Some(vec![b'v'; 100].into());
    record
}

async fn nothing(offset: Offset) {
    black_box(offset);
}

/// Processes records like a lane, one at a time, each awaited.
fn lane<R>(criterion: &mut Criterion, name: &str, routes: &R)
where
    R: Routes,
    R::Service: Service<Incoming, Response = Outcome>,
    <R::Service as Service<Incoming>>::Error: Into<BoxError> + std::fmt::Debug,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else { return };
    let (record, stopping, cancel) = (record(), CancelToken::new(), CancelToken::new());
    let mut shared = SharedRecord::from(record.clone());
    let mut service = routes.service(routes.select(&record));
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let began = std::time::Instant::now();
                for _ in 0..times {
                    let ready = poll_fn(|cx| service.poll_ready(cx)).await;
                    debug_assert!(ready.is_ok());
                    // Like in a lane, the next record reuses the memory of the last one, and the
                    // tokens belong to the partition.
                    shared.replace(record.clone());
                    let incoming =
                        Incoming::with_tokens(shared.clone(), cancel.clone(), stopping.clone());
                    let answer = service.call(incoming).await;
                    debug_assert!(answer.is_ok());
                    let _ = black_box(answer);
                    // Like in a lane, timers and other tasks can run.
                    tokio::task::consume_budget().await;
                }
                began.elapsed()
            })
        });
    });
}

macro_rules! standard {
    () => {
        Stack::new()
            .layer(DeadLetterLayer::new("orders.dead", Nowhere))
            .layer(LogLayer::new())
            .layer(RetryLayer::new(Backoff::default()))
            .layer(CircuitBreakerLayer::new("payments"))
            .layer(TimeoutLayer::new(Duration::from_secs(5)))
            .layer(RecoveryLayer::new())
    };
}

fn processing(criterion: &mut Criterion) {
    lane(criterion, "process/handler", &Stack::new().handler(nothing));
    lane(
        criterion,
        "process/standard static",
        &standard!().handler(nothing),
    );
    let router = Router::new().route("orders", standard!().handler(nothing));
    lane(criterion, "process/standard boxed", &router);
    lane(
        criterion,
        "process/recovery",
        &Stack::new().layer(RecoveryLayer::new()).handler(nothing),
    );
    lane(
        criterion,
        "process/timeout",
        &Stack::new()
            .layer(TimeoutLayer::new(Duration::from_secs(5)))
            .handler(nothing),
    );
    lane(
        criterion,
        "process/breaker",
        &Stack::new()
            .layer(CircuitBreakerLayer::new("payments"))
            .handler(nothing),
    );
    lane(
        criterion,
        "process/retry",
        &Stack::new()
            .layer(RetryLayer::new(Backoff::default()))
            .handler(nothing),
    );
    lane(
        criterion,
        "process/log",
        &Stack::new().layer(LogLayer::new()).handler(nothing),
    );
    lane(
        criterion,
        "process/dead letter",
        &Stack::new()
            .layer(DeadLetterLayer::new("dead", Nowhere))
            .handler(nothing),
    );
}

criterion_group!(benches, processing);
criterion_main!(benches);
