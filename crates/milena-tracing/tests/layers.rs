//! Spans and headers around handlers and producers, as an exporter and the next stage see them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Attempt, BoxError, ConsumerRecord, Error, Incoming, Outcome, ProcessError, ProducerRecord,
    RecordMetadata, Routes,
};
use milena_middleware::{DeadLetterLayer, RetryLayer, Stack};
use milena_tracing::{TraceContext, TraceLayer, TraceSend, TraceSendLayer, receive};
use opentelemetry::trace::{SpanId, SpanKind, Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tokio::sync::mpsc;
use tower::{Layer, Service, ServiceExt, service_fn};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::prelude::*;

/// OpenTelemetry spans that were ended on this test's thread.
struct Spans {
    exporter: InMemorySpanExporter,
    _provider: SdkTracerProvider,
    _default: DefaultGuard,
}

impl Spans {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
        let provider = provider.build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let default = tracing_subscriber::registry().with(layer).set_default();
        Self {
            exporter,
            _provider: provider,
            _default: default,
        }
    }

    fn by_name(&self) -> HashMap<String, SpanData> {
        let all = self.exporter.get_finished_spans().unwrap();
        let names = all.into_iter().map(|span| (span.name.to_string(), span));
        names.collect()
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key.as_str() == key);
    found.map(|one| one.value.to_string())
}

type Sent = mpsc::UnboundedReceiver<ProducerRecord>;

/// Makes a producer that keeps the records it sends.
fn producer() -> (
    TraceSend<
        impl Service<ProducerRecord, Response = RecordMetadata, Error = Error, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static,
    >,
    Sent,
) {
    let (sent, records) = mpsc::unbounded_channel();
    let sink = service_fn(move |record: ProducerRecord| {
        let sent = sent.clone();
        async move {
            tokio::task::yield_now().await;
            let topic = record.topic.clone();
            sent.send(record).unwrap();
            Ok::<_, Error>(RecordMetadata {
                topic,
                partition: 3.into(),
                offset: Some(17.into()),
                timestamp: None,
            })
        }
    });
    (TraceSendLayer::new().layer(sink), records)
}

/// Returns the record as the next stage reads it.
fn arrived(sent: ProducerRecord) -> Incoming {
    let mut record = ConsumerRecord::new(sent.topic, 3, 17);
    record.headers = sent.record.headers;
    record.value = sent.record.value;
    Incoming::new(record)
}

fn context(record: &ProducerRecord) -> Option<TraceContext> {
    TraceContext::extract(&record.record.headers)
}

#[tokio::test]
async fn one_record_over_two_stages_with_a_retry_and_a_dead_letter_is_one_tree() {
    let spans = Spans::new();
    let (producer, mut records) = producer();
    let order = ProducerRecord::new("orders").value("two stamps");
    producer.send(order).await.unwrap();

    let next = producer.clone();
    let first = Stack::new()
        .layer(TraceLayer::new().group("validate"))
        .handler(move || {
            let next = next.clone();
            async move {
                let record = ProducerRecord::new("validated").value("ok");
                next.send(record).await.map_err(ProcessError::from)
            }
            .then_ack()
        });
    let incoming = arrived(records.recv().await.unwrap());
    let _ = first.service(0).oneshot(incoming).await.unwrap();

    let second = Stack::new()
        .layer(TraceLayer::new().group("pay"))
        .layer(DeadLetterLayer::new("dead", producer.clone()))
        .layer(RetryLayer::fixed(Duration::from_millis(1)).max_attempts(2))
        .layer(TraceLayer::attempts())
        .handler(async |Attempt(attempt): Attempt| {
            Err::<(), _>(ProcessError::transient(format!("no, {attempt}")))
        });
    let incoming = arrived(records.recv().await.unwrap());
    let outcome = second.service(0).oneshot(incoming).await.unwrap();
    assert_eq!(outcome.name(), "dead_lettered");
    let letter = records.recv().await.unwrap();

    let all = spans.by_name();
    let id = |name: &str| all[name].span_context.span_id();
    let below = |name: &str| all[name].parent_span_id;
    assert_eq!(below("send orders"), SpanId::INVALID);
    assert_eq!(below("process orders"), id("send orders"));
    assert_eq!(below("send validated"), id("process orders"));
    assert_eq!(below("process validated"), id("send validated"));
    assert_eq!(below("attempt validated"), id("process validated"));
    assert_eq!(below("send dead"), id("process validated"));
    let traces = all.values().map(|span| span.span_context.trace_id());
    let traces: std::collections::HashSet<_> = traces.collect();
    assert_eq!(traces.len(), 1);
    assert_eq!(
        context(&letter).unwrap().span_id().to_be_bytes(),
        id("send dead").to_bytes(),
        "a replayed letter goes on in the same trace"
    );
    let count = letter.record.headers.iter();
    let parents = count.filter(|header| header.key == b"traceparent");
    assert_eq!(parents.count(), 1);

    let process = &all["process validated"];
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert!(matches!(process.status, Status::Error { .. }));
    for (key, value) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "process"),
        ("messaging.destination.name", "validated"),
        ("messaging.destination.partition.id", "3"),
        ("messaging.kafka.offset", "17"),
        ("messaging.consumer.group.name", "pay"),
        ("messaging.message.body.size", "2"),
        ("milena.outcome", "dead_lettered"),
    ] {
        assert_eq!(attribute(process, key).as_deref(), Some(value), "{key}");
    }
    let send = &all["send orders"];
    assert_eq!(send.span_kind, SpanKind::Producer);
    let partition = attribute(send, "messaging.destination.partition.id");
    assert_eq!(partition.as_deref(), Some("3"));
    let attempts = spans.exporter.get_finished_spans().unwrap();
    let attempts = attempts
        .iter()
        .filter(|span| span.name == "attempt validated");
    assert_eq!(attempts.count(), 2);
}

/// Turns a successful send into an acknowledgement of the handled record.
trait ThenAck: Future<Output = Result<RecordMetadata, ProcessError>> + Sized {
    async fn then_ack(self) -> Result<Outcome, ProcessError> {
        self.await.map(|_| Outcome::Ack)
    }
}

impl<F: Future<Output = Result<RecordMetadata, ProcessError>>> ThenAck for F {}

/// Sends a record from a handler of `incoming`, and returns the sent record.
async fn passed_through(layer: TraceLayer, incoming: Incoming) -> ProducerRecord {
    let (producer, mut records) = producer();
    let handler = service_fn(move |_: Incoming| {
        let producer = producer.clone();
        async move {
            producer.send(ProducerRecord::new("next")).await.unwrap();
            Ok::<_, BoxError>(Outcome::Ack)
        }
    });
    let _ = layer.layer(handler).oneshot(incoming).await.unwrap();
    records.recv().await.unwrap()
}

fn with(header: &str) -> Incoming {
    let mut incoming = Incoming::new(ConsumerRecord::new("orders", 0, 7));
    incoming
        .record
        .headers
        .push("traceparent", header.to_owned());
    incoming
}

const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

#[tokio::test]
async fn what_is_not_sampled_has_no_span_and_its_context_is_passed_on() {
    let spans = Spans::new();
    let next = passed_through(TraceLayer::new(), with(UNSAMPLED)).await;
    assert_eq!(context(&next).unwrap().to_string(), UNSAMPLED);
    assert!(spans.by_name().is_empty());
}

#[tokio::test]
async fn the_decision_not_to_sample_holds_for_the_stages_that_follow() {
    let spans = Spans::new();
    let fresh = Incoming::new(ConsumerRecord::new("orders", 0, 7));
    let next = passed_through(TraceLayer::new().sample(0.0), fresh).await;
    assert!(!context(&next).unwrap().is_sampled());
    assert!(spans.by_name().is_empty());
}

#[tokio::test]
async fn without_opentelemetry_the_context_is_passed_on_as_it_came() {
    let sampled = UNSAMPLED.replace("b7-00", "b7-01");
    let next = passed_through(TraceLayer::new(), with(&sampled)).await;
    assert_eq!(context(&next).unwrap().to_string(), sampled);
}

#[tokio::test]
async fn a_broken_context_begins_a_new_trace() {
    let spans = Spans::new();
    let next = passed_through(TraceLayer::new(), with("garbage")).await;
    let all = spans.by_name();
    assert_eq!(all["process orders"].parent_span_id, SpanId::INVALID);
    assert_eq!(
        context(&next).unwrap().span_id().to_be_bytes(),
        all["send next"].span_context.span_id().to_bytes()
    );
}

#[tokio::test]
async fn a_state_of_another_vendor_is_carried_along() {
    let _spans = Spans::new();
    let mut incoming = with(&UNSAMPLED.replace("b7-00", "b7-01"));
    let state = "vendor=opaque,other=1";
    incoming.record.headers.push("tracestate", state);
    let next = passed_through(TraceLayer::new(), incoming).await;
    assert_eq!(next.record.headers.text("tracestate"), Some(state));
}

#[tokio::test]
async fn sending_belongs_to_a_span_of_the_programs_own() {
    let spans = Spans::new();
    let (producer, _records) = producer();
    let own = tracing::info_span!("checkout");
    let sending = producer.send(ProducerRecord::new("orders"));
    tracing::Instrument::instrument(sending, own.clone())
        .await
        .unwrap();
    drop(own);
    let all = spans.by_name();
    let checkout = &all["checkout"].span_context;
    assert_eq!(all["send orders"].parent_span_id, checkout.span_id());
    assert_eq!(
        all["send orders"].span_context.trace_id(),
        checkout.trace_id()
    );
}

#[tokio::test]
async fn a_record_that_was_received_without_a_handler_goes_on_in_its_trace() {
    let spans = Spans::new();
    let (producer, mut records) = producer();
    producer.send(ProducerRecord::new("orders")).await.unwrap();
    let record = arrived(records.recv().await.unwrap()).record;
    let received = receive(&record);
    received
        .run(async { producer.send(ProducerRecord::new("next")).await })
        .await
        .unwrap();
    drop(received);
    let all = spans.by_name();
    let id = |name: &str| all[name].span_context.span_id();
    assert_eq!(all["receive orders"].parent_span_id, id("send orders"));
    assert_eq!(all["send next"].parent_span_id, id("receive orders"));
    assert_eq!(all["receive orders"].span_kind, SpanKind::Client);
}

#[tokio::test]
async fn a_failed_send_and_an_error_are_told_in_their_spans() {
    let spans = Spans::new();
    let sink = service_fn(async |_: ProducerRecord| {
        Err::<RecordMetadata, _>(Error::new(milena_core::ErrorKind::Timeout, "late"))
    });
    let producer = Arc::new(TraceSendLayer::new().layer(sink));
    producer
        .send(ProducerRecord::new("orders"))
        .await
        .unwrap_err();
    let stack = Stack::new().layer(TraceLayer::new()).handler(async || {
        let what = "no order: ".to_owned() + &"ü".repeat(100_000);
        Err::<(), _>(ProcessError::poison(what))
    });
    let incoming = Incoming::new(ConsumerRecord::new("orders", 0, 7));
    stack.service(0).oneshot(incoming).await.unwrap_err();
    let all = spans.by_name();
    assert!(matches!(all["send orders"].status, Status::Error { .. }));
    let process = &all["process orders"];
    assert!(matches!(&process.status, Status::Error { description }
            if description.contains("no order") && description.len() <= 1_024));
    assert_eq!(attribute(process, "error.type").as_deref(), Some("poison"));
}

#[tokio::test]
async fn what_is_sent_in_a_span_of_the_handlers_own_hangs_below_that_span() {
    use tracing::Instrument;
    let spans = Spans::new();
    let (producer, mut records) = producer();
    let order = ProducerRecord::new("orders").value("two stamps");
    producer.send(order).await.unwrap();
    let stack = Stack::new().layer(TraceLayer::new()).handler(move || {
        let next = producer.clone();
        async move {
            let charging = async { next.send(ProducerRecord::new("paid").value("ok")).await };
            let span = tracing::info_span!("charge the card");
            charging.instrument(span).await.map(|_| ())
        }
    });
    let incoming = arrived(records.recv().await.unwrap());
    let answer = stack.service(0).oneshot(incoming).await.unwrap();
    assert_eq!(answer, Outcome::Ack);
    let all = spans.by_name();
    let id = |name: &str| all[name].span_context.span_id();
    assert_eq!(all["send paid"].parent_span_id, id("charge the card"));
    assert_eq!(all["charge the card"].parent_span_id, id("process orders"));
}

#[tokio::test(start_paused = true)]
async fn what_a_batch_sends_hangs_below_a_span_that_is_linked_with_that_of_each_record() {
    use milena_core::Text;
    use milena_middleware::batch::Batching;
    let spans = Spans::new();
    let (producer, mut records) = producer();
    for value in ["0", "1", "2"] {
        let order = ProducerRecord::new("orders").value(value);
        producer.send(order).await.unwrap();
    }
    let batching = Batching::up_to(3).within(Duration::from_millis(50));
    let stack = Stack::new()
        .layer(TraceLayer::new())
        .batch(batching, move |all: Vec<Text>| {
            let next = producer.clone();
            let summary = ProducerRecord::new("summary").value(all.len().to_string());
            async move { next.send(summary).await.map(|_| ()) }
        });
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let incoming = arrived(records.recv().await.unwrap());
        // The task runs on this thread, where the subscriber is set.
        calls.spawn(stack.service(0).oneshot(incoming));
    }
    calls.join_all().await;
    let all = spans.exporter.get_finished_spans().unwrap();
    let of = |span: &&SpanData| span.name == "process orders";
    let (batch, alone): (Vec<_>, Vec<_>) = all.iter().filter(of).partition(|span| {
        span.attributes
            .iter()
            .any(|one| one.key.as_str() == "messaging.batch.message_count")
    });
    assert_eq!((batch.len(), alone.len()), (1, 3));
    let linked: std::collections::HashSet<_> = batch[0]
        .links
        .iter()
        .map(|link| link.span_context.span_id())
        .collect();
    assert_eq!(
        linked,
        alone
            .iter()
            .map(|span| span.span_context.span_id())
            .collect()
    );
    let send = all.iter().find(|span| span.name == "send summary").unwrap();
    assert_eq!(send.parent_span_id, batch[0].span_context.span_id());
}
