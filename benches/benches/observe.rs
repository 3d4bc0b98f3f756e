//! What watching costs: metrics and traces on and off, in turns of one run, by the processor time of the client's threads.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that goes wrong"
)]

use std::collections::VecDeque;
use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use milena::broker::Broker;
use milena::core::RouteLabels;
use milena::metrics::Metrics;
use milena::middleware::Stack;
use milena::trace::{TraceContext, TraceLayer};
use milena::{BoxError, Client, ConsumerRecord, ErrorClass, Incoming, Outcome, Producer, Recorder};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, service_fn};
use tracing_subscriber::prelude::*;

/// Turns of each side; the middle one counts.
const TURNS: usize = 7;
const RECORDS: u64 = 1_000_000;
const LARGE_RECORDS: u64 = 300_000;
const CALLS: u32 = 2_000_000;

fn main() {
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Nowhere)
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bench"));
    tracing_subscriber::registry().with(layer).init();
    handles();
    spans();
    let client = runtime("client", 2);
    let peer = runtime("peer-broker", 1);
    let broker = Broker::builder()
        .listen("127.0.0.1:0")
        .topic("small", 4)
        .topic("large", 4)
        .topic("out", 4)
        .retention_bytes(1 << 30)
        .journal(100)
        .initial_rebalance_delay(Duration::ZERO);
    let broker = peer.block_on(broker.start()).unwrap();
    let metrics = Metrics::new();
    let (plain, counted) = client.block_on(async {
        let builder = || Client::builder().bootstrap(broker.bootstrap());
        let plain = builder().connect().await.unwrap();
        (plain, builder().metrics(&metrics).connect().await.unwrap())
    });
    produce(&client, &plain, &counted);
    client.block_on(fill(&plain, "small", 100, RECORDS));
    client.block_on(fill(&plain, "large", 1_024, LARGE_RECORDS));
    consume_counted(&client, &plain, &counted);
    consume_traced(&client, &plain);
    client.block_on(async {
        plain.close().await;
        counted.close().await;
    });
}

fn runtime(name: &str, threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all();
    builder.thread_name(name).build().unwrap()
}

/// Spans go nowhere.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> opentelemetry_sdk::error::OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

/// The time of one call, over many.
fn per_call(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let began = Instant::now();
        for _ in 0..CALLS / 5 {
            call();
        }
        best = best.min(began.elapsed().as_secs_f64() * 5e9 / f64::from(CALLS));
    }
    best
}

fn handles() {
    let metrics = Metrics::new();
    let route = metrics.route(&RouteLabels::new("group", "orders", "bill"));
    let time = Duration::from_micros(30);
    let record = per_call(|| route.record(black_box(time), "ack"));
    let attempt = per_call(|| route.attempt(1, black_box(time), Err(ErrorClass::Fatal)));
    println!("metrics: {record:.1} ns to count a record, {attempt:.1} ns an attempt");
}

/// A record through the trace layer alone, against the same without it.
fn spans() {
    let inner = service_fn(|_: Incoming| std::future::ready(Ok::<_, BoxError>(Outcome::Ack)));
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let plain = Incoming::new(ConsumerRecord::new("orders", 0, 7));
    let mut marked = plain.clone();
    marked.record.headers.push("traceparent", unsampled);
    assert!(TraceContext::extract(&marked.record.headers).is_some());
    let one = |service: &mut dyn FnMut(Incoming), incoming: &Incoming| {
        per_call(|| service(black_box(incoming.clone())))
    };
    let mut bare = inner;
    let mut traced = TraceLayer::new().sample(0.0).layer(inner);
    let mut all = TraceLayer::new().layer(inner);
    let without = one(&mut |incoming| now(bare.call(incoming)), &plain);
    let with = one(&mut |incoming| now(traced.call(incoming)), &plain);
    let marked_without = one(&mut |incoming| now(bare.call(incoming)), &marked);
    let marked_with = one(&mut |incoming| now(traced.call(incoming)), &marked);
    let sampled = one(&mut |incoming| now(all.call(incoming)), &plain);
    println!(
        "traces: an unsampled record costs {:.1} ns without a context, {:.1} ns with one; a sampled one {:.0} ns",
        with - without,
        marked_with - marked_without,
        sampled - without
    );
}

/// A future that is ready at once.
fn now<T>(future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(black_box(future.as_mut().poll(&mut context)).is_ready());
}

/// Takes turns, and prints both sides with what the second costs.
fn compare(what: &str, records: u64, mut off: impl FnMut(), mut on: impl FnMut()) {
    off();
    on();
    let mut times = [Vec::new(), Vec::new()];
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        let sides: [&mut dyn FnMut(); 2] = [&mut off, &mut on];
        for (side, run) in sides.into_iter().enumerate() {
            let (began, cpu) = (Instant::now(), client_seconds());
            run();
            times[side].push((client_seconds() - cpu) * 1e9 / records as f64);
            rates[side].push(records as f64 / began.elapsed().as_secs_f64());
        }
    }
    let [time_off, time_on] = times.map(middle);
    let [rate_off, rate_on] = rates.map(middle);
    println!(
        "{what}: off {time_off:.0} ns of processor time and {:.2} M records/s, on {time_on:.0} ns and {:.2} M; \
         {:+.1} % of time, {:+.1} % of throughput",
        rate_off / 1e6,
        rate_on / 1e6,
        (time_on / time_off - 1.0) * 100.0,
        (rate_on / rate_off - 1.0) * 100.0,
    );
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn produce(runtime: &Runtime, plain: &Client, counted: &Client) {
    let _guard = runtime.enter();
    let (off, on) = (
        plain.producer().build().unwrap(),
        counted.producer().build().unwrap(),
    );
    compare(
        "produce 100 B, metrics",
        RECORDS,
        || runtime.block_on(send(off.clone(), "out", 100, RECORDS)),
        || runtime.block_on(send(on.clone(), "out", 100, RECORDS)),
    );
}

async fn fill(client: &Client, topic: &'static str, size: usize, records: u64) {
    let producer = client.producer().build().unwrap();
    send(producer, topic, size, records).await;
}

/// One task sends so many records and awaits every delivery.
async fn send(producer: Producer, topic: &'static str, size: usize, records: u64) {
    let sending = tokio::spawn(async move {
        let topic = producer.topic(topic);
        let value = vec![b'v'; size];
        let mut open = VecDeque::new();
        for _ in 0..records {
            open.push_back(topic.enqueue(None, Some(&value)).await.unwrap());
            if open.len() > 100_000
                && let Some(oldest) = open.pop_front()
            {
                oldest.await.unwrap();
            }
        }
        for delivery in open {
            delivery.await.unwrap();
        }
    });
    sending.await.unwrap();
}

/// Reads a topic from its beginning through a stack, until so many records were handled.
macro_rules! consume {
    ($runtime:ident, $client:ident, $topic:literal, $records:ident, $stack:expr) => {
        $runtime.block_on(async {
            let consumer = $client.consumer(group()).topics([$topic]).build().unwrap();
            let stop = consumer.shutdown_handle();
            let seen = Arc::new(AtomicU64::new(0));
            let handler = move || {
                if seen.fetch_add(1, Ordering::Relaxed) + 1 == $records {
                    stop.shutdown();
                }
                std::future::ready(())
            };
            let report = consumer.run($stack.handler(handler)).await.unwrap();
            assert!(report.processed >= $records);
        })
    };
}

/// A group that nobody was in before.
fn group() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("bench-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn consume_counted(runtime: &Runtime, plain: &Client, counted: &Client) {
    compare(
        "consume 100 B by a handler, metrics",
        RECORDS,
        || consume!(runtime, plain, "small", RECORDS, Stack::new()),
        || consume!(runtime, counted, "small", RECORDS, Stack::new()),
    );
}

fn consume_traced(runtime: &Runtime, client: &Client) {
    let traced = || Stack::new().layer(TraceLayer::new().sample(0.01));
    compare(
        "consume 1 KiB by a handler, 1 % traced",
        LARGE_RECORDS,
        || consume!(runtime, client, "large", LARGE_RECORDS, Stack::new()),
        || consume!(runtime, client, "large", LARGE_RECORDS, traced()),
    );
}

/// The processor time of this process's threads, without the broker's. Zero where the system does not tell.
fn client_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return 0.0;
    };
    let ticks = tasks.flatten().filter_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let nanos = stat.split_whitespace().next()?.parse::<f64>().ok()?;
        (!name.starts_with("peer")).then_some(nanos)
    });
    ticks.sum::<f64>() / 1e9
}
