//! The trace of one order over all stages, as an exporter gets it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use milena::Client;
use milena::broker::Broker;
use milena_examples::audit::Auditor;
use milena_examples::gateway::Gateway;
use milena_examples::shop;
use milena_examples::stages::{self, Shop};
use milena_examples::topics::Topics;
use milena_examples::watch::writer;
use opentelemetry::trace::{SpanId, TraceId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing_subscriber::prelude::*;

const ORDERS: u64 = 300;

/// Everything runs on one thread, so the spans belong to this test only.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn each_orders_trace_is_one_tree_over_stages_retries_and_dead_letters() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
    let provider = provider.build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _default = tracing_subscriber::registry().with(layer).set_default();

    let broker = Broker::builder().start().await.unwrap();
    let client = Client::builder()
        .bootstrap(broker.bootstrap())
        .connector(broker.dialer());
    let client = client.connect().await.unwrap();
    let topics = Topics::with_prefix("");
    topics.set_up(&client, 2).await.unwrap().all().unwrap();
    let gateway = Gateway::default();
    let shop = Shop {
        topics: topics.clone(),
        gateway: gateway.clone(),
    };
    let writer = writer(&client, 1.0).unwrap();
    let consumer = stages::consumer(&client, &topics, "orders".into()).unwrap();
    let stop = consumer.shutdown_handle();
    let router = stages::router(&shop, writer.clone(), stages::payments());
    let running = tokio::spawn(async move { consumer.run(router).await });
    let placed = shop::place_orders(&writer, &topics.orders, ORDERS).await;
    assert_eq!(placed.unwrap(), ORDERS);
    let mut auditor = Auditor::start(&client, &topics).await.unwrap();
    let all = |audit: &Auditor| audit.ended() >= ORDERS;
    assert!(auditor.follow(Duration::from_secs(60), all).await.unwrap());
    stop.shutdown();
    running.await.unwrap().unwrap();
    client.close().await;
    broker.shutdown().await;

    let mut traces: HashMap<TraceId, Vec<SpanData>> = HashMap::new();
    for span in exporter.get_finished_spans().unwrap() {
        let trace = span.span_context.trace_id();
        traces.entry(trace).or_default().push(span);
    }
    assert_eq!(traces.len() as u64, ORDERS, "a trace for each order");
    let shapes: Vec<_> = traces.values().map(|spans| shape(spans)).collect();
    let count = |wanted: &[(&str, usize)]| {
        let wanted: BTreeMap<_, _> = wanted.iter().copied().collect();
        let same = |shape: &&BTreeMap<String, usize>| {
            shape.len() == wanted.len()
                && shape
                    .iter()
                    .all(|(name, count)| wanted.get(&**name) == Some(count))
        };
        shapes.iter().filter(same).count()
    };
    let whole = |pays: usize| {
        count(&[
            ("send orders", 1),
            ("process orders", 1),
            ("attempt orders", 1),
            ("send orders.validated", 1),
            ("process orders.validated", 1),
            ("attempt orders.validated", pays),
            ("send orders.paid", 1),
            ("process orders.paid", 1),
            ("attempt orders.paid", 1),
            ("send orders.shipped", 1),
        ])
    };
    let dead = count(&[
        ("send orders", 1),
        ("process orders", 1),
        ("attempt orders", 1),
        ("send orders.dead-letters", 1),
    ]);
    let retried: usize = (2..12).map(whole).sum();
    assert!(dead > 0 && retried > 0, "{dead} dead, {retried} retried");
    assert_eq!(whole(1) + retried + dead, traces.len(), "{shapes:#?}");
    assert_eq!(auditor.dead_letters.count() as usize, dead);
    assert_eq!(gateway.retried() as usize, retried);
}

/// Counts the spans by their names. Checks that they form one tree, with a single root and every
/// parent among the spans.
fn shape(spans: &[SpanData]) -> BTreeMap<String, usize> {
    let known: HashMap<SpanId, &SpanData> = spans
        .iter()
        .map(|span| (span.span_context.span_id(), span))
        .collect();
    let mut roots = 0;
    let mut names = BTreeMap::new();
    for span in spans {
        *names.entry(span.name.to_string()).or_insert(0) += 1;
        if span.parent_span_id == SpanId::INVALID {
            roots += 1;
            assert_eq!(span.name, "send orders");
            continue;
        }
        let parent = known.get(&span.parent_span_id);
        let parent = parent.expect("the parent is in the same trace");
        let (what, _) = span.name.split_once(' ').unwrap();
        let (above, _) = parent.name.split_once(' ').unwrap();
        let fits = match what {
            "process" => above == "send",
            "attempt" => above == "process",
            // The parent of a dead letter is its record. The parent of a handler's record is its
            // attempt.
            "send" if span.name == "send orders.dead-letters" => above == "process",
            _ => above == "attempt",
        };
        assert!(fits, "{} below {}", span.name, parent.name);
    }
    assert_eq!(roots, 1);
    names
}
