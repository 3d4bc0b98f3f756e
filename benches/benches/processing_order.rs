//! Processes 100,000 records of 1 ms simulated work with 1,000 keys, ordered by partition, by key,
//! and unordered.
//!
//! The broker is embedded and the clock is simulated. So the figures show how well each order uses
//! its lanes, and are the same in every run. Work takes 1 ms of the simulated clock. Fetching,
//! routing and committing take none of it. The real seconds are printed too.
#![allow(
    clippy::unwrap_used,
    reason = "a bench stops at the first thing that goes wrong"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use milena_broker::Broker;
use milena_consumer::{Consumer, OffsetReset, Order};
use milena_core::{ConsumerRecord, Outcome};
use milena_pool::Cluster;
use milena_producer::Producer;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

const RECORDS: u64 = 100_000;
const KEYS: u64 = 1_000;
const PARTITIONS: u32 = 4;
const WORK: Duration = Duration::from_millis(1);

fn main() {
    println!("{RECORDS} records of {WORK:?}, {KEYS} keys, {PARTITIONS} partitions");
    println!(
        "{:<28}{:>12}{:>12}{:>10}{:>14}",
        "order", "ideal s", "taken s", "over", "real seconds"
    );
    for (name, order, lanes) in [
        ("partition", Order::Partition, 1),
        ("key, 4 lanes", Order::Key(4), 4),
        ("key, 16 lanes", Order::Key(16), 16),
        ("key, 64 lanes", Order::Key(64), 64),
        ("unordered, 16 lanes", Order::Unordered(16), 16),
        ("unordered, 64 lanes", Order::Unordered(64), 64),
    ] {
        let real = std::time::Instant::now();
        let taken = paused(run(order)).as_secs_f64();
        let concurrency = f64::from(PARTITIONS * lanes);
        let ideal = WORK.as_secs_f64() * RECORDS as f64 / concurrency;
        println!(
            "{name:<28}{ideal:>12.3}{taken:>12.3}{:>9.1}%{:>14.2}",
            (taken / ideal - 1.0) * 100.0,
            real.elapsed().as_secs_f64()
        );
    }
}

fn paused<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(work)
}

/// Returns the simulated time from the start of the first record to the end of the last one.
async fn run(order: Order) -> Duration {
    let broker = Broker::builder().topic("orders", PARTITIONS).start().await;
    let broker = broker.unwrap();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .connect()
        .await
        .unwrap();
    fill(cluster.clone()).await;

    let consumer = Consumer::builder(cluster, "shop")
        .topics(["orders"])
        .auto_offset_reset(OffsetReset::Earliest)
        .order(order)
        .build()
        .unwrap();
    let (count, all) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let (first, told) = (Arc::new(std::sync::OnceLock::new()), Arc::clone(&all));
    let began = Arc::clone(&first);
    let handler = move |_: ConsumerRecord| {
        let (count, told) = (Arc::clone(&count), Arc::clone(&told));
        let first = Arc::clone(&first);
        async move {
            first.get_or_init(Instant::now);
            sleep(WORK).await;
            if count.fetch_add(1, Ordering::Relaxed) + 1 == RECORDS {
                told.notify_one();
            }
            Outcome::Ack
        }
    };
    let end = async {
        all.notified().await;
        began.get().unwrap().elapsed()
    };
    let (taken, report) = tokio::join!(
        async {
            let taken = end.await;
            consumer.shutdown_handle().shutdown();
            taken
        },
        consumer.run(handler)
    );
    assert_eq!(report.unwrap().processed, RECORDS);
    taken
}

/// Writes records with keys in a random sequence that is the same in every run. All keys are
/// equally frequent, and each partition has equally many of them.
async fn fill(cluster: Cluster) {
    let producer = Producer::builder(cluster).build().unwrap();
    let mut state = 11u64;
    for number in 0..RECORDS {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let partition = (number % u64::from(PARTITIONS)) as u32;
        let among = KEYS / u64::from(PARTITIONS);
        let key = format!("customer-{partition}-{}", state % among);
        let record = milena_core::ProducerRecord::new("orders")
            .key(key)
            .value("work")
            .partition(partition);
        drop(producer.enqueue(record).await.unwrap());
    }
    producer.flush().await.unwrap();
}
