//! All layers at once, with faults on purpose. Each record ends once, done or as a dead letter, and
//! none is lost or invented.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use milena_core::{
    Backoff, ConsumerRecord, Emitter, ErrorClass, ErrorMap, Header, HeaderName, Incoming, Outcome,
    Parsed, ProcessError, ProducerRecord, Routes, Timestamp,
};
use milena_middleware::dedup::MemoryStore;
use milena_middleware::{
    CircuitBreakerLayer, ClassifyLayer, ConcurrencyLayer, DeadLetterLayer, DedupLayer,
    DelayedRetryLayer, EmitLayer, FaultLayer, RateLimitLayer, RecoveryLayer, RetryLayer,
    RetryTopics, Router, Stack, TimeoutLayer,
};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::bed::{Sink, call};

struct Number;

impl HeaderName for Number {
    const NAME: &'static str = "number";
    type Value = Parsed<u32>;
}

fn record(number: u32) -> ConsumerRecord {
    let mut record = ConsumerRecord::new("orders", 0, number);
    record.value = Some("x".into());
    record.headers.push("number", number.to_string());
    record
}

/// Returns a written record as a consumer reads it from its topic.
fn read(written: ProducerRecord, offset: u32) -> ConsumerRecord {
    let mut record = ConsumerRecord::new(&written.topic, 0, offset);
    record.value = written.record.value;
    record.headers = written.record.headers;
    record
}

#[tokio::test(start_paused = true)]
async fn each_record_ends_once_and_the_sums_agree() {
    let (letters, retries, made) = (Sink::failing(3), Sink::failing(5), Sink::failing(2));
    let clock = Arc::new(AtomicI64::new(0));
    let now = Arc::clone(&clock);
    let faults = FaultLayer::seeded(11)
        .errors(0.05, ErrorClass::Transient)
        .errors(0.02, ErrorClass::Throttled)
        .panics(0.02)
        .hangs(0.01)
        .delays(0.05, Duration::from_millis(30))
        .lost_answers(0.02, ErrorClass::Dependency);
    let processed = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let counted = Arc::clone(&processed);
    let topics = RetryTopics::new([Duration::from_secs(5), Duration::from_secs(60)]);
    let backoff = || Backoff::new(Duration::from_millis(10), Duration::from_millis(100));
    let stack = Stack::new()
        .layer(DeadLetterLayer::new("orders.dead", letters.clone()))
        .layer(
            DelayedRetryLayer::new(topics, retries.clone())
                .clock(move || Timestamp::from_millis(now.load(Ordering::SeqCst))),
        )
        .layer(DedupLayer::by_header("number", MemoryStore::new(10_000)))
        .layer(RetryLayer::new(backoff()).max_attempts(3))
        .layer(EmitLayer::new(made.clone()))
        .layer(
            CircuitBreakerLayer::new("payments")
                .consecutive(4)
                .open_for(Duration::from_secs(1)),
        )
        .layer(RateLimitLayer::new(
            "payments",
            1_000,
            Duration::from_secs(1),
        ))
        .layer(ConcurrencyLayer::adaptive(1, 8))
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .layer(RecoveryLayer::new())
        .layer(ClassifyLayer::new(ErrorMap::standard()))
        .layer(faults.clone())
        .handler(
            move |Header(Parsed(number)): Header<Number>, out: Emitter| {
                let times = {
                    let mut counted = counted.lock();
                    let times = counted.entry(number).or_default();
                    *times += 1;
                    *times
                };
                async move {
                    match number {
                        n if n.is_multiple_of(100) => return Err(ProcessError::poison("no order")),
                        n if n % 20 == 3 && times <= 2 => {
                            return Err(ProcessError::from(std::io::Error::from(
                                std::io::ErrorKind::ConnectionReset,
                            )));
                        }
                        n if n % 97 == 5 => return Err(ProcessError::transient("never")),
                        n => out.emit(ProducerRecord::new("bills").value(n.to_string())),
                    }
                    Ok(())
                }
            },
        );
    stack.check().unwrap();
    let router = Router::new().route("orders", stack);
    router.check().unwrap();

    let mut waiting: VecDeque<ConsumerRecord> = (0..RECORDS).map(record).collect();
    let mut ended: BTreeMap<&str, u32> = BTreeMap::new();
    let mut next = RECORDS;
    while !waiting.is_empty() {
        let lanes: Vec<_> = waiting.drain(..waiting.len().min(16)).collect();
        let calls = lanes
            .iter()
            .map(|record| call(&router, Incoming::new(record.clone())));
        // With the paused clock this timeout passes at once if all lanes wait for each other.
        let answers = timeout(Duration::from_secs(3_600), join_all(calls)).await;
        let answers = answers.expect("nobody waits for ever");
        for (record, answer) in lanes.into_iter().zip(answers) {
            match answer.expect("no error is left over") {
                Outcome::Hold(until) => {
                    // As in the consumer, the same record comes again, and not before that time.
                    clock.fetch_max(until.to_millis(), Ordering::SeqCst);
                    waiting.push_back(record);
                }
                outcome => *ended.entry(outcome.name()).or_default() += 1,
            }
        }
        for written in retries.letters.lock().drain(..) {
            waiting.push_back(read(written, next));
            next += 1;
        }
    }

    let number = |record: &ProducerRecord| -> u32 {
        record
            .record
            .headers
            .text("number")
            .unwrap()
            .parse()
            .unwrap()
    };
    let dead: Vec<u32> = letters.letters.lock().iter().map(number).collect();
    let unique: BTreeSet<u32> = dead.iter().copied().collect();
    assert_eq!(unique.len(), dead.len(), "no record is a dead letter twice");
    let bad = |n: &u32| n.is_multiple_of(100) || n % 97 == 5;
    assert!(
        (0..RECORDS).filter(|n| bad(n)).all(|n| unique.contains(&n)),
        "all bad ones are there"
    );
    let unlucky = unique.iter().filter(|n| !bad(n)).count();
    assert!(unlucky < 5, "nine attempts failed by chance: {unlucky}");
    let forwarded = ended.get("forwarded").copied().unwrap_or(0);
    let done = ended.get("ack").copied().unwrap_or(0);
    assert_eq!(done as usize + dead.len(), RECORDS as usize, "{ended:?}");
    assert_eq!(next, RECORDS + forwarded, "each that was sent on came back");
    let bills: BTreeSet<String> = made
        .letters
        .lock()
        .iter()
        .map(|bill| String::from_utf8_lossy(bill.record.value.as_deref().unwrap()).into_owned())
        .collect();
    let expected = (0..RECORDS)
        .filter(|n| !unique.contains(n))
        .map(|n| n.to_string());
    assert!(
        expected.into_iter().all(|n| bills.contains(&n)),
        "what is done was emitted"
    );
    assert!(
        faults.made() > u64::from(RECORDS) / 20 && forwarded > 0,
        "{} {ended:?}",
        faults.made()
    );
}

const RECORDS: u32 = 2_000;
