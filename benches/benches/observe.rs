//! The cost of metrics and traces. Compares them on and off in turns of one run, by the processor
//! time of the client's threads.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that goes wrong"
)]

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use milena::broker::Broker;
use milena::core::{RouteLabels, Routes};
use milena::metrics::Metrics;
use milena::middleware::{MetricsLayer, Stack};
use milena::trace::{TraceContext, TraceLayer};
use milena::{Client, ConsumerRecord, ErrorClass, Incoming, Producer, Recorder};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::{Builder, Runtime};
use tower::Service;
use tracing_subscriber::prelude::*;

/// The turns of each side. Their median is printed.
const TURNS: usize = 9;
const RECORDS: u64 = 1_000_000;
const LARGE_RECORDS: u64 = 300_000;
const CALLS: u32 = 2_000_000;

fn main() {
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Nowhere)
        .build();
    // The layer is set up as in `milena::trace::otlp`.
    let layer = tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_tracer(provider.tracer("bench"));
    tracing_subscriber::registry().with(layer).init();
    if wants("calls") {
        handles();
        spans();
    }
    if !(wants("produce") || wants("metrics") || wants("traces")) {
        return;
    }
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
    if wants("produce") {
        produce(&client, &plain, &counted);
    }
    if wants("metrics") {
        client.block_on(fill(&plain, "small", 100, RECORDS));
        consume_counted(&client, &plain, &counted);
    }
    if wants("traces") {
        client.block_on(fill(&plain, "large", 1_024, LARGE_RECORDS));
        consume_traced(&client, &plain);
    }
    client.block_on(async {
        plain.close().await;
        counted.close().await;
    });
}

/// Returns true if a part is to run. The command line names the parts, and by default all run.
fn wants(part: &str) -> bool {
    let mut named = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .peekable();
    named.peek().is_none() || named.any(|arg| arg == part)
}

fn runtime(name: &str, threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all();
    builder.thread_name(name).build().unwrap()
}

/// An exporter that drops all spans.
#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> opentelemetry_sdk::error::OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

/// Returns the time of one call in nanoseconds, measured over many calls.
fn per_call(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let began = Instant::now();
        for _ in 0..CALLS / 20 {
            call();
        }
        best = best.min(began.elapsed().as_secs_f64() * 20e9 / f64::from(CALLS));
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

/// Compares a handler in a stack with and without the trace layer.
fn spans() {
    let unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let plain = Incoming::new(ConsumerRecord::new("orders", 0, 7));
    let mut marked = plain.clone();
    marked.record.headers.push("traceparent", unsampled);
    assert!(TraceContext::extract(&marked.record.headers).is_some());
    macro_rules! handled {
        ($stack:expr) => {{
            let mut service = $stack.handler(async || ()).service(0);
            move |incoming: Incoming| now(service.call(incoming))
        }};
    }
    let none = TraceLayer::new().sample(0.0);
    let mut bare = handled!(Stack::new());
    let mut traced = handled!(Stack::new().layer(none));
    let mut all = handled!(Stack::new().layer(TraceLayer::new()));
    type Side<'a> = (&'a str, &'a mut dyn FnMut(Incoming), &'a Incoming);
    let sides: [Side<'_>; 5] = [
        ("bare", &mut bare, &plain),
        ("none sampled", &mut traced, &plain),
        ("bare, with a context", &mut handled!(Stack::new()), &marked),
        (
            "none sampled, with a context",
            &mut handled!(Stack::new().layer(TraceLayer::new())),
            &marked,
        ),
        ("sampled", &mut all, &plain),
    ];
    for (what, service, incoming) in sides {
        let time = per_call(|| service(black_box(incoming.clone())));
        println!("traces: {time:.1} ns a record, {what}");
    }
}

/// Polls a future that is ready at once.
fn now<T>(future: impl Future<Output = T>) {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(black_box(future.as_mut().poll(&mut context)).is_ready());
}

/// Runs both sides in turns, and prints the results with the cost of the second one.
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
            rates[side].push(records as f64 / began.elapsed().as_secs_f64() / 1e6);
        }
    }
    let [time_off, time_on] = times.map(Spread::of);
    let [rate_off, rate_on] = rates.map(Spread::of);
    println!(
        "{what}: {:+.1} % of processor time, {:+.1} % of throughput\n  off {time_off} ns, {rate_off} M records/s\n  \
         on  {time_on} ns, {rate_on} M records/s",
        (time_on.middle / time_off.middle - 1.0) * 100.0,
        (rate_on.middle / rate_off.middle - 1.0) * 100.0,
    );
}

/// The median, the least and the largest of several values.
struct Spread {
    middle: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        let at = |at: usize| all.get(at).copied().unwrap_or_default();
        Self {
            middle: at(all.len() / 2),
            least: at(0),
            most: at(all.len().saturating_sub(1)),
        }
    }
}

impl Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            middle,
            least,
            most,
        } = self;
        let digits = if *middle < 100.0 { 2 } else { 0 };
        write!(f, "{middle:.digits$} ({least:.digits$}-{most:.digits$})")
    }
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

/// Sends `records` records from one task, and awaits every delivery.
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

/// Reads a topic from its beginning through a stack, until `records` records were handled.
macro_rules! consume {
    ($runtime:ident, $client:ident, $topic:literal, $records:ident, $stack:expr) => {
        $runtime.block_on(async {
            // One partition ends before another. A short wait keeps its last fetch, which finds no
            // more records, from delaying the others.
            let consumer = $client
                .consumer(group())
                .topics([$topic])
                .fetch_max_wait(Duration::from_millis(10));
            let consumer = consumer.build().unwrap();
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

/// Returns the name of a new group.
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
    let attempts = || Stack::new().layer(MetricsLayer::new());
    compare(
        "the same, each attempt counted by a layer",
        RECORDS,
        || consume!(runtime, plain, "small", RECORDS, Stack::new()),
        || consume!(runtime, counted, "small", RECORDS, attempts()),
    );
}

fn consume_traced(runtime: &Runtime, client: &Client) {
    for (what, ratio) in [("none", 0.0), ("1 %", 0.01)] {
        let traced = || Stack::new().layer(TraceLayer::new().sample(ratio));
        compare(
            &format!("consume 1 KiB by a handler, {what} traced"),
            LARGE_RECORDS,
            || consume!(runtime, client, "large", LARGE_RECORDS, Stack::new()),
            || consume!(runtime, client, "large", LARGE_RECORDS, traced()),
        );
    }
}

/// Returns the processor time of this process's threads, without the broker's. Zero if the system
/// does not report it.
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
