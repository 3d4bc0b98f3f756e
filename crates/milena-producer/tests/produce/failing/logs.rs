//! The log lines of a producer. There is one per change, not one per batch.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::bed::{bed, record_at};

const SECOND: Duration = Duration::from_secs(1);

thread_local! {
    /// The lines that were written on this thread, which belongs to one test.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps the producer's lines at level info and above.
///
/// One listener serves all tests of the program. tracing remembers for all threads whether a line
/// is written at all, by the listener of the first thread that reaches it.
struct Listener;

/// The lines of the calling thread since `listen`.
struct Lines;

impl Lines {
    fn listen() -> Self {
        // An error means that an earlier test has set it.
        let _ = tracing::subscriber::set_global_default(Listener);
        LINES.take();
        Self
    }

    fn all(&self) -> Vec<String> {
        LINES.with_borrow(Vec::clone)
    }

    /// Returns the lines so far that contain `words`.
    fn with(&self, words: &str) -> Vec<String> {
        let mut lines = self.all();
        lines.retain(|line| line.contains(words));
        lines
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("milena_producer") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                let _ = write!(self.0, " {field}={value:?}");
            }
        }
        let mut text = Text(event.metadata().level().to_string());
        event.record(&mut text);
        LINES.with_borrow_mut(|lines| lines.push(text.0));
    }

    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn records_that_are_held_up_are_told_once_for_each_broker_and_once_when_they_are_not() {
    let lines = Lines::listen();
    let bed = bed(6).await;
    let producer = bed.producer();
    for partition in 0..6 {
        producer.send(record_at(partition, "warm")).await.unwrap();
    }
    let refused = Fault::error(ErrorCode::NOT_ENOUGH_REPLICAS).on(ApiKey::Produce);
    let refused = bed.broker.faults().add(refused.always());
    let mut all = Vec::new();
    for round in 0..200u32 {
        all.push(producer.enqueue(record_at(round % 6, "v")).await.unwrap());
        sleep(SECOND / 10).await;
    }
    let held_up = lines.with("cannot be written at present");
    assert_eq!(held_up.len(), 2, "{held_up:?}");
    for line in held_up {
        assert!(
            line.starts_with("WARN") && line.contains("NOT_ENOUGH_REPLICAS"),
            "{line}"
        );
        assert!(line.contains("node=") && line.contains("orders"), "{line}");
    }
    assert!(lines.with("no record is held up").is_empty());
    refused.remove();
    for delivery in all {
        delivery.await.unwrap();
    }
    sleep(2 * SECOND).await;
    let freed = lines.with("no record is held up any more");
    assert_eq!(freed.len(), 2, "{freed:?}");
    assert!(freed.iter().all(|line| line.starts_with("INFO")));
    assert_eq!(lines.all().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_passes_within_a_moment_is_not_told() {
    let lines = Lines::listen();
    let bed = bed(1).await;
    let producer = bed.producer();
    producer.send(record_at(0, "warm")).await.unwrap();
    let (_, second) = bed.leader_and_other();
    bed.broker.inspect().move_leader("orders", 0, second);
    producer.send(record_at(0, "moved")).await.unwrap();
    sleep(5 * SECOND).await;
    assert!(lines.all().is_empty(), "{:?}", lines.all());
}

#[tokio::test(start_paused = true)]
async fn records_that_are_given_up_are_told_together_with_an_example() {
    let lines = Lines::listen();
    let bed = bed(4).await;
    let builder = bed.builder().request_timeout(SECOND);
    let producer = builder.delivery_timeout(3 * SECOND).build().unwrap();
    for partition in 0..4 {
        producer.send(record_at(partition, "warm")).await.unwrap();
    }
    let silence = Fault::silence().on(ApiKey::Produce);
    bed.broker.faults().add(silence.always());
    let mut all = Vec::new();
    for number in 0..400u32 {
        all.push(
            producer
                .enqueue(record_at(number % 4, "lost"))
                .await
                .unwrap(),
        );
    }
    for delivery in all {
        delivery.await.unwrap_err();
    }
    sleep(3 * SECOND).await;
    let given_up = lines.with("records were given up");
    let told = |line: &String| {
        let count = line.split("records=").nth(1).unwrap();
        count.split(' ').next().unwrap().parse::<u32>().unwrap()
    };
    assert!((1..=2).contains(&given_up.len()), "{given_up:?}");
    assert_eq!(given_up.iter().map(told).sum::<u32>(), 400);
    assert!(given_up[0].contains("orders") && given_up[0].contains("delivery.timeout.ms"));
}
