//! Log lines of a consumer's life. Each comes once, with a level and fields that say which group,
//! member, partitions and records it is about.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use milena_broker::{ApiKey, ErrorCode, Fault};
use milena_consumer::GroupProtocol;
use milena_core::{Partition, Value};
use parking_lot::Mutex;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber, span};

use crate::bed::{Seen, bed, eventually, run, run_noting};

/// A line as it was logged.
#[derive(Clone, Debug)]
struct Line {
    level: Level,
    /// The fields as text. The words of the line are `message`.
    fields: BTreeMap<&'static str, String>,
}

impl Line {
    fn field(&self, name: &str) -> &str {
        let field = self.fields.get(name);
        field.unwrap_or_else(|| panic!("no `{name}`: {self:?}"))
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

/// A subscriber that keeps the consumer's lines of this thread, from `INFO` on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    /// Returns the lines whose words begin like this.
    fn of(&self, words: &str) -> Vec<Line> {
        let lines = self.0.lock();
        let fits = |line: &&Line| line.field("message").starts_with(words);
        lines.iter().filter(fits).cloned().collect()
    }

    /// Returns the only line whose words begin like this. It must have `level` and name the group.
    fn only(&self, level: Level, words: &str) -> Line {
        let mut lines = self.of(words);
        assert_eq!(lines.len(), 1, "`{words}` in {:#?}", self.0.lock());
        let line = lines.remove(0);
        assert_eq!(
            (line.level, line.field("group")),
            (level, "billing"),
            "{line:?}"
        );
        line
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("milena_consumer")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line {
            level: *event.metadata().level(),
            fields: BTreeMap::new(),
        };
        event.record(&mut line);
        self.0.lock().push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

const PROTOCOLS: [GroupProtocol; 2] = [GroupProtocol::Classic, GroupProtocol::Consumer];

#[tokio::test(start_paused = true)]
async fn start_join_assignment_and_end_are_told_once_each() {
    for protocol in PROTOCOLS {
        let (log, _guard) = Log::listen();
        let bed = bed(2).await;
        let seen = Seen::default();
        let running = run_noting(bed.builder().await.group_protocol(protocol), &seen);
        bed.fill(2, 0, 3).await;
        seen.until_len(6).await;
        let start = log.only(Level::INFO, "the consumer starts");
        assert!(start.field("subscription").contains("orders"), "{start:?}");
        let joined = log.only(Level::INFO, "joined");
        assert!(!joined.field("member").is_empty(), "{joined:?}");
        let number = match protocol {
            GroupProtocol::Classic => joined.field("generation"),
            _ => joined.field("epoch"),
        };
        assert!(number.parse::<i32>().unwrap() > 0, "{joined:?}");
        let mut assigned = log.of("assigned");
        assigned.retain(|line| line.field("partitions") != "[]");
        assert_eq!(assigned.len(), 1, "{assigned:?}");
        let assigned = &assigned[0];
        assert_eq!(
            (assigned.level, assigned.field("group")),
            (Level::INFO, "billing")
        );
        assert_eq!(assigned.field("partitions"), "[orders-0, orders-1]");
        running.end().await;
        let begun = log.only(Level::INFO, "the consumer shuts down");
        assert_eq!(begun.field("handlers"), "");
        log.only(Level::INFO, "given back");
        let left = log.only(Level::INFO, "left the group");
        assert_eq!(left.field("member"), joined.field("member"));
        log.only(Level::INFO, "the consumer has ended");
        let ended = log.only(Level::INFO, "run ended");
        assert_eq!(ended.field("processed"), "6");
        let lines = log.0.lock();
        assert!(
            lines.iter().all(|line| line.level == Level::INFO),
            "{lines:#?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_membership_is_a_warning_that_names_the_partitions() {
    for protocol in PROTOCOLS {
        let (log, _guard) = Log::listen();
        let bed = bed(2).await;
        let seen = Seen::default();
        let running = run_noting(bed.builder().await.group_protocol(protocol), &seen);
        bed.fill(2, 0, 3).await;
        seen.until_len(6).await;
        let forgotten = Fault::error(ErrorCode::UNKNOWN_MEMBER_ID)
            .on(ApiKey::Heartbeat)
            .on(ApiKey::ConsumerGroupHeartbeat);
        bed.broker.faults().add(forgotten.times(1));
        let is_lost = || !log.of("partitions lost").is_empty();
        eventually("the membership is lost", is_lost).await;
        let lost = log.only(Level::WARN, "partitions lost");
        assert_eq!(lost.field("partitions"), "[orders-0, orders-1]");
        assert!(log.of("given back").is_empty());
        running.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_tells_every_five_seconds_which_records_it_waits_for() {
    let (log, _guard) = Log::listen();
    let bed = bed(1).await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let begun = Arc::new(Mutex::new(Some(begun)));
    let builder = bed
        .builder()
        .await
        .shutdown_timeout(Duration::from_secs(60));
    let running = run(builder, move |_: Partition, _: Value| {
        let begun = begun.lock().take();
        async move {
            if let Some(begun) = begun {
                let _ = begun.send(());
                sleep(Duration::from_secs(12)).await;
            }
        }
    });
    bed.fill(1, 0, 1).await;
    has_begun.await.unwrap();
    running.end().await;
    let begins = log.only(Level::INFO, "the consumer shuts down");
    let place = "orders-0: 1 records, the oldest at offset 0";
    assert!(begins.field("handlers").starts_with(place), "{begins:?}");
    let waits = log.of("the consumer waits for handlers to end");
    let seconds: Vec<_> = waits.iter().map(|line| line.field("seconds")).collect();
    assert_eq!(seconds, ["5", "10"]);
    for line in &waits {
        assert_eq!((line.level, line.field("group")), (Level::WARN, "billing"));
        assert!(line.field("handlers").starts_with(place), "{line:?}");
    }
    log.only(Level::INFO, "the consumer has ended");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_cut_off_names_the_records_that_are_read_again() {
    let (log, _guard) = Log::listen();
    let bed = bed(1).await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let begun = Arc::new(Mutex::new(Some(begun)));
    let builder = bed.builder().await.shutdown_timeout(Duration::from_secs(4));
    let running = run(builder, move |_: Partition, _: Value| {
        if let Some(begun) = begun.lock().take() {
            let _ = begun.send(());
        }
        std::future::pending::<()>()
    });
    bed.fill(1, 0, 1).await;
    has_begun.await.unwrap();
    running.stop.shutdown();
    let _ = running.ended().await;
    let cut = log.only(
        Level::WARN,
        "the consumer did not end within the shutdown timeout",
    );
    let place = "orders-0: 1 records, the oldest at offset 0";
    assert!(cut.field("handlers").starts_with(place), "{cut:?}");
    assert!(log.of("the consumer has ended").is_empty());
}
