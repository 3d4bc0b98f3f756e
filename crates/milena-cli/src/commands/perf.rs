//! `milena perf`, which measures how fast a cluster takes and gives records.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::json;
use tokio::sync::mpsc;

use super::places::From;
use super::produce::How;
use crate::args::duration;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::progress::Progress;
use crate::session::Session;
use crate::signals::Signals;

/// The kind of measurement.
#[derive(Debug, Subcommand)]
pub(crate) enum PerfVerb {
    /// Sends records as fast as the cluster takes them, or at a rate, and shows how long they took.
    Produce(PerfProduce),
    /// Reads a topic from its beginning.
    Consume(PerfConsume),
}

/// The records to send.
#[derive(Debug, Args)]
pub(crate) struct PerfProduce {
    /// The topic to write to.
    topic: String,
    /// The number of records.
    #[arg(short, long, value_name = "N", default_value_t = 1_000_000)]
    count: u64,
    /// The size of a value, in bytes.
    #[arg(short, long, value_name = "BYTES", default_value_t = 100)]
    size: usize,
    /// The largest number of records per second. Without it, as fast as possible.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    #[command(flatten)]
    how: How,
}

/// The records to read.
#[derive(Debug, Args)]
pub(crate) struct PerfConsume {
    /// The topic to read.
    topic: String,
    /// Ends after this many records.
    #[arg(short, long, value_name = "N", default_value_t = 1_000_000)]
    count: u64,
    /// Ends if no record came for this time.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    idle: Duration,
}

pub(super) async fn run(verb: PerfVerb, session: &Session) -> Result<(), Failure> {
    match verb {
        PerfVerb::Produce(args) => produce(args, session).await,
        PerfVerb::Consume(args) => consume(args, session).await,
    }
}

async fn produce(args: PerfProduce, session: &Session) -> Result<(), Failure> {
    let signals = Signals::watch();
    session.partitions_of(&args.topic).await?;
    let producer = args.how.producer(session)?;
    let topic = producer.topic(args.topic.as_str());
    let noise = noise(args.size + SPREAD);
    let mut progress = Progress::new("sent", Some(args.count), false);
    let (told, mut times) = mpsc::unbounded_channel();
    let started = Instant::now();
    let mut sent = 0;
    while sent < args.count && !signals.have_come() {
        let number = sent;
        if let Some(rate) = args.rate {
            tokio::select! {
                () = pace(started, number, rate) => {}
                () = signals.asked() => break,
            }
        }
        // A window that moves over random bytes. No two values are alike, and they do not compress.
        let from = usize::try_from(number).unwrap_or(0).wrapping_mul(31) % SPREAD;
        let value = noise.get(from..from + args.size).unwrap_or_default();
        let asked = Instant::now();
        let delivery = tokio::select! {
            biased;
            delivery = topic.enqueue(None, Some(value)) => delivery?,
            () = signals.asked() => break,
        };
        sent += 1;
        if number % sample(args.count) == 0 {
            let told = told.clone();
            tokio::spawn(async move {
                let outcome = delivery.await;
                let _ = told.send(outcome.map(|_| asked.elapsed()));
            });
        }
        progress.at(number);
    }
    super::produce::flush(&producer, &signals, session.global.timeout).await?;
    let took = started.elapsed();
    progress.end();
    drop(told);
    let mut sampled = Vec::new();
    while let Some(time) = times.recv().await {
        sampled.push(time?);
    }
    sampled.sort_unstable();
    let at = |share: f64| {
        let index = (sampled.len().saturating_sub(1)) as f64 * share;
        let time = sampled.get(index as usize).copied().unwrap_or_default();
        (time.as_secs_f64() * 1e6).round() / 1000.0
    };
    let mut table = Table::new(&COLUMNS);
    let bytes = sent * args.size as u64;
    let figures = figures(sent, bytes, took);
    table.row(
        figures
            .into_iter()
            .chain([json!(at(0.5)), json!(at(0.99)), json!(at(1.0))]),
    );
    output::show(session.format(), &table)?;
    ended(&signals)
}

async fn consume(args: PerfConsume, session: &Session) -> Result<(), Failure> {
    let signals = Signals::watch();
    let places = session.chosen(&args.topic, &[]).await?;
    let consumer = session.client.assigned_consumer().build()?;
    let level = milena::IsolationLevel::ReadCommitted;
    consumer.assign(session.starts(&places, From::Beginning, level).await?);
    let mut progress = Progress::new("read", Some(args.count), false);
    let started = Instant::now();
    let (mut count, mut bytes, mut last) = (0, 0, started);
    while count < args.count {
        let given = tokio::select! {
            given = tokio::time::timeout(args.idle, consumer.recv_batch()) => given,
            () = signals.asked() => break,
        };
        let Ok(batch) = given else { break };
        for record in batch?.iter() {
            let record = record?;
            let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len) as u64;
            bytes += len(record.key) + len(record.value);
            count += 1;
        }
        last = Instant::now();
        progress.at(count);
    }
    progress.end();
    consumer.close().await;
    let mut table = Table::new(COLUMNS.get(..4).unwrap_or_default());
    table.row(figures(count, bytes, last - started));
    output::show(session.format(), &table)?;
    ended(&signals)
}

/// Fails if a signal came. The figures are shown in any case, and the exit code shows that they are
/// incomplete.
fn ended(signals: &Signals) -> Result<(), Failure> {
    match signals.have_come() {
        true => Err(Failure::interrupted()),
        false => Ok(()),
    }
}

/// Returns the first four columns.
fn figures(count: u64, bytes: u64, took: Duration) -> [serde_json::Value; 4] {
    let seconds = took.as_secs_f64().max(1e-6);
    let round = |number: f64| (number * 1000.0).round() / 1000.0;
    [
        json!(count),
        json!(round(seconds)),
        json!((count as f64 / seconds).round()),
        json!(round(bytes as f64 / seconds / 1e6)),
    ]
}

/// Waits until a record is due at the given rate.
async fn pace(started: Instant, number: u64, rate: u64) {
    let due = Duration::from_secs_f64(number as f64 / rate as f64);
    let ahead = due.saturating_sub(started.elapsed());
    // Sleeps take at least a millisecond. Records that are due within it go together.
    if ahead >= Duration::from_millis(1) {
        tokio::time::sleep(ahead).await;
    }
}

/// Returns the distance between two records whose time is taken, so that about ten thousand are.
fn sample(count: u64) -> u64 {
    (count / 10_000).max(1)
}

/// Returns bytes that do not compress and are the same on every run (xorshift).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
}

const COLUMNS: [&str; 7] = [
    "records",
    "seconds",
    "records_per_s",
    "mb_per_s",
    "p50_ms",
    "p99_ms",
    "max_ms",
];
/// The length of the random bytes that values begin in.
const SPREAD: usize = 64 << 10;
