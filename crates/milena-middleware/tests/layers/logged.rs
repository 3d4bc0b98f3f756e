//! Log lines of the layers. They have a level and fields, come once for each event, and never show
//! a payload.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_core::{
    Backoff, ConsumerRecord, ErrorClass, Incoming, Outcome, ProcessError, Reason, Timestamp,
};
use milena_middleware::{LogLayer, RetryLayer, Stack};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::bed::call;

/// An event as it was logged.
#[derive(Clone, Debug)]
struct Line {
    level: Level,
    target: String,
    /// Its fields as text; the line's own words are `message`.
    fields: BTreeMap<&'static str, String>,
}

impl Line {
    fn field(&self, name: &str) -> &str {
        let field = self.fields.get(name);
        field.unwrap_or_else(|| panic!("no `{name}`: {self:?}"))
    }

    fn names(&self) -> Vec<&'static str> {
        self.fields.keys().copied().collect()
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }
}

/// A subscriber that keeps every event of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock())
    }

    fn only(&self) -> Line {
        let mut lines = self.take();
        assert_eq!(lines.len(), 1, "one line: {lines:?}");
        lines.remove(0)
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line {
            level: *event.metadata().level(),
            target: event.metadata().target().to_owned(),
            fields: BTreeMap::new(),
        };
        event.record(&mut line);
        self.0.lock().push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Parts of a payload that no line may hold.
const PAYLOAD: [&str; 4] = ["the-key", "the-value", "the-header", "the-note"];

fn incoming() -> Incoming {
    let mut record = ConsumerRecord::new("orders", 3, 7);
    record.key = Some("the-key".into());
    record.value = Some("the-value".into());
    record.headers.push("the-header", "the-note");
    Incoming::new(record)
}

/// Of the record `orders-3@7`, by the target of all such lines, and without its payload.
fn is_of_the_record(line: &Line) {
    assert_eq!(line.target, "milena::process");
    let place = ["topic", "partition", "offset"].map(|name| line.field(name));
    assert_eq!(place, ["orders", "3", "7"], "{line:?}");
    for part in PAYLOAD {
        // As text, and as the bytes that a `{:?}` of a slice would print.
        let bytes = format!("{:?}", part.as_bytes());
        let bytes = bytes.trim_matches(['[', ']']);
        for (name, value) in &line.fields {
            let told = value.contains(part) || value.contains(bytes);
            assert!(!told, "{name} tells of {part}: {line:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_one_line_with_its_level_its_place_and_its_reason() {
    let because = || Reason::from("not ours");
    let reason = ("reason", "not ours");
    let cases = [
        (Outcome::Ack, Level::DEBUG, "done", None),
        (
            Outcome::Skip(because()),
            Level::INFO,
            "skipped",
            Some(reason),
        ),
        (
            Outcome::retry(because()),
            Level::WARN,
            "to be tried again",
            Some(reason),
        ),
        (
            Outcome::DeadLetter(because()),
            Level::WARN,
            "a dead letter",
            Some(reason),
        ),
        (
            Outcome::DeadLettered(because()),
            Level::WARN,
            "ended",
            Some(reason),
        ),
        (
            Outcome::Forwarded(because()),
            Level::WARN,
            "ended",
            Some(reason),
        ),
        (
            Outcome::Hold(Timestamp::from_millis(1_000)),
            Level::DEBUG,
            "held",
            None,
        ),
        (
            Outcome::Stop(because()),
            Level::WARN,
            "the consumer stops",
            Some(reason),
        ),
    ];
    let (log, _guard) = Log::listen();
    for (outcome, level, message, also) in cases {
        let answer = outcome.clone();
        let stack = Stack::new().layer(LogLayer::new()).handler(move || {
            let answer = answer.clone();
            async { answer }
        });
        let _ = call(&stack, incoming()).await;
        let line = log.only();
        is_of_the_record(&line);
        assert_eq!(line.level, level, "{outcome:?}");
        assert_eq!(line.field("message"), message, "{outcome:?}");
        assert_eq!((line.field("attempt"), line.field("elapsed")), ("1", "0ns"));
        match also {
            Some((name, value)) => assert_eq!(line.field(name), value, "{outcome:?}"),
            None => assert!(!line.fields.contains_key("reason"), "{line:?}"),
        }
        if message == "ended" {
            assert_eq!(line.field("outcome"), outcome.name());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_one_line_with_its_class_and_all_its_causes() {
    let (log, _guard) = Log::listen();
    for class in [
        ErrorClass::Transient,
        ErrorClass::Throttled,
        ErrorClass::Dependency,
        ErrorClass::Timeout,
        ErrorClass::Panic,
        ErrorClass::Poison,
        ErrorClass::Business,
        ErrorClass::Fatal,
    ] {
        let stack = Stack::new()
            .layer(LogLayer::new())
            .handler(move || async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                let cause = std::io::Error::other("connection reset");
                let error = ProcessError::new(class, cause);
                Err::<(), _>(error.context("the bill was not written"))
            });
        let _ = call(&stack, incoming()).await;
        let line = log.only();
        is_of_the_record(&line);
        let (level, message) = match class {
            ErrorClass::Fatal => (Level::ERROR, "failed for good"),
            _ => (Level::WARN, "failed"),
        };
        assert_eq!((line.level, line.field("message")), (level, message));
        assert_eq!(line.field("class"), class.name());
        let error = line.field("error");
        for part in ["the bill was not written", "connection reset"] {
            assert!(error.contains(part), "{class}: {error}");
        }
        assert_eq!((line.field("attempt"), line.field("elapsed")), ("1", "2s"));
    }
}

fn seconds() -> RetryLayer {
    let second = Duration::from_secs(1);
    RetryLayer::new(Backoff::new(second, Duration::from_secs(60)).jitter(0.0)).max_attempts(3)
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_one_line_for_each_attempt_that_another_follows() {
    let (log, _guard) = Log::listen();
    let failing = Stack::new().layer(seconds()).handler(async || {
        let cause = std::io::Error::other("connection reset");
        Err::<(), _>(ProcessError::transient(cause).context("the bill was not written"))
    });
    assert!(call(&failing, incoming()).await.is_err());
    let lines = log.take();
    // Nothing follows the third attempt, whose end is for the layers outside to tell.
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, (attempt, wait)) in lines.iter().zip([("1", "1s"), ("2", "2s")]) {
        is_of_the_record(line);
        assert_eq!(line.level, Level::INFO);
        assert_eq!(line.field("message"), "the attempt failed and is retried");
        assert_eq!(line.field("attempt"), attempt);
        assert_eq!(line.field("again_in"), wait);
        assert_eq!(line.field("class"), "transient");
        let error = line.field("error");
        for part in ["the bill was not written", "connection reset"] {
            assert!(error.contains(part), "{error}");
        }
        let mut known = ["topic", "partition", "offset", "attempt", "again_in"].to_vec();
        known.extend(["class", "error", "message"]);
        known.sort_unstable();
        assert_eq!(line.names(), known);
    }

    // An outcome that asks for another attempt is told by its reason.
    let asking = Stack::new()
        .layer(seconds())
        .handler(async || Outcome::retry_after(Duration::from_secs(9), "locked"));
    assert!(call(&asking, incoming()).await.is_err());
    let lines = log.take();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        is_of_the_record(line);
        assert_eq!(
            (line.field("error"), line.field("again_in")),
            ("locked", "9s")
        );
    }

    // What is not tried again has no line.
    let poison = Stack::new()
        .layer(seconds())
        .handler(async || Err::<(), _>(ProcessError::poison("no order")));
    assert!(call(&poison, incoming()).await.is_err());
    let fine = Stack::new().layer(seconds()).handler(async || ());
    assert_eq!(call(&fine, incoming()).await.unwrap(), Outcome::Ack);
    assert!(log.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn outside_of_retries_the_log_has_one_line_for_the_record_and_inside_one_for_each_attempt() {
    let (log, _guard) = Log::listen();
    let busy = async || Err::<(), _>(ProcessError::transient("busy"));
    let outside = Stack::new()
        .layer(LogLayer::new())
        .layer(seconds())
        .handler(busy);
    assert!(call(&outside, incoming()).await.is_err());
    let told = |lines: Vec<Line>, message: &str| {
        let lines = lines.iter().filter(|line| line.field("message") == message);
        let told = lines.map(|line| {
            is_of_the_record(line);
            (
                line.field("attempt").to_owned(),
                line.field("elapsed").to_owned(),
            )
        });
        told.collect::<Vec<_>>()
    };
    let at = |attempt: &str, elapsed: &str| (attempt.to_owned(), elapsed.to_owned());
    // It waited for 1 s and for 2 s, and tells how many attempts there were.
    assert_eq!(told(log.take(), "failed"), [at("3", "3s")]);

    let inside = Stack::new()
        .layer(seconds())
        .layer(LogLayer::new())
        .handler(busy);
    assert!(call(&inside, incoming()).await.is_err());
    let each = [at("1", "0ns"), at("2", "0ns"), at("3", "0ns")];
    assert_eq!(told(log.take(), "failed"), each);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_dropped_has_no_line() {
    let (log, _guard) = Log::listen();
    let stack = Stack::new()
        .layer(LogLayer::new())
        .handler(async || std::future::pending::<()>().await);
    let called = tokio::time::timeout(Duration::from_secs(5), call(&stack, incoming()));
    assert!(called.await.is_err());
    assert!(log.take().is_empty(), "it did not end");
}
