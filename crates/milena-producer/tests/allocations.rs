//! In the steady state allocations grow with the batches, never with the records or bytes. The
//! broker's allocations count as well.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use milena_broker::Broker;
use milena_core::Event;
use milena_pool::Cluster;
use milena_producer::{Compression, Delivery, Producer, Topic};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const RECORDS: u32 = 100_000;

async fn topic(compression: Compression, sent: &Arc<AtomicU64>) -> (Broker, Topic) {
    let broker = Broker::builder().topic("orders", 4).start().await.unwrap();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .connect()
        .await
        .unwrap();
    let sent = Arc::clone(sent);
    let count = move |event: &Event<'_>| {
        if let Event::BatchDelivered { bytes, .. } = event {
            sent.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    };
    let producer = Producer::builder(cluster).compression(compression);
    let producer = producer.add_observer(Arc::new(count)).build();
    let orders = producer.unwrap().topic("orders");
    (broker, orders)
}

/// Returns the number of blocks allocated while `RECORDS` records are sent and each delivery is
/// awaited.
async fn one_by_one(orders: &Topic, open: &mut VecDeque<Delivery>, key: Option<&[u8]>) -> u64 {
    let before = dhat::HeapStats::get().total_blocks;
    for number in 0..RECORDS {
        let mut value = [b'x'; 100];
        value[..4].copy_from_slice(&number.to_be_bytes());
        open.push_back(orders.enqueue(key, Some(&value)).await.unwrap());
        if open.len() > 10_000 {
            open.pop_front().unwrap().await.unwrap();
        }
    }
    while let Some(delivery) = open.pop_front() {
        delivery.await.unwrap();
    }
    dhat::HeapStats::get().total_blocks - before
}

/// Returns the bytes allocated per byte on the wire, while large batches are sent that compress to
/// half.
async fn per_byte(orders: &Topic, sent: &AtomicU64) -> f64 {
    let mut noise = 7_u64;
    let mut records = move || {
        let mut value = [b'x'; 100];
        for byte in &mut value[..60] {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = b' ' + (noise >> 58) as u8;
        }
        value
    };
    let mut round = async || {
        let batch: Vec<_> = (0..4000).map(|_| records()).collect();
        let (bytes, wire) = (
            dhat::HeapStats::get().total_bytes,
            sent.load(Ordering::Relaxed),
        );
        let deliveries = orders.enqueue_all(batch).await;
        deliveries.all_delivered().await.unwrap();
        let bytes = dhat::HeapStats::get().total_bytes - bytes;
        (bytes, sent.load(Ordering::Relaxed) - wire)
    };
    for _ in 0..12 {
        round().await;
    }
    let (mut bytes, mut wire) = (0, 0);
    for _ in 0..12 {
        let (more, sent) = round().await;
        bytes += more;
        wire += sent;
    }
    bytes as f64 / wire as f64
}

async fn all_together(orders: &Topic) -> u64 {
    let before = dhat::HeapStats::get().total_blocks;
    for _ in 0..RECORDS / 1000 {
        let records = (0..1000_u32).map(|_| [b'x'; 100]);
        orders
            .enqueue_all(records)
            .await
            .all_delivered()
            .await
            .unwrap();
    }
    dhat::HeapStats::get().total_blocks - before
}

// There is one test only, since the allocator counts for the whole process.
#[tokio::test]
async fn neither_a_record_nor_a_byte_costs_an_allocation_once_buffers_are_warm() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut open = VecDeque::with_capacity(10_001);
    let sent = Arc::new(AtomicU64::new(0));
    for compression in [Compression::None, Compression::LZ4] {
        let (_broker, orders) = topic(compression, &sent).await;
        one_by_one(&orders, &mut open, None).await;
        let without_keys = one_by_one(&orders, &mut open, None).await;
        let with_keys = one_by_one(&orders, &mut open, Some(b"customer-7")).await;
        let together = all_together(&orders).await;
        let most = u64::from(RECORDS) / 10;
        println!("{compression:?}: {without_keys}, {with_keys}, {together} blocks");
        assert!(without_keys < most, "{without_keys} blocks without keys");
        assert!(with_keys < most, "{with_keys} blocks with keys");
        assert!(together < most, "{together} blocks together");
    }
    let mut bytes = Vec::new();
    for compression in [Compression::None, Compression::LZ4, Compression::ZSTD] {
        if compression.check().is_err() {
            continue;
        }
        let (_broker, orders) = topic(compression, &sent).await;
        bytes.push(per_byte(&orders, &sent).await);
    }
    // The broker allocates the same for each byte that comes, with every codec.
    println!("{bytes:.2?} bytes allocated for each on the wire");
    let plain = bytes[0];
    assert!(bytes.iter().all(|each| *each < plain + 1.0), "{bytes:.2?}");
}
