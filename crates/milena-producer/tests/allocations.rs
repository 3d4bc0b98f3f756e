//! Steady state allocates by the batch, never by the record; the broker's allocations count as well.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops at the first thing that goes wrong"
)]

use std::collections::VecDeque;

use milena_broker::Broker;
use milena_pool::Cluster;
use milena_producer::{Compression, Delivery, Producer, Topic};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const RECORDS: u32 = 100_000;

async fn topic(compression: Compression) -> (Broker, Topic) {
    let broker = Broker::builder().topic("orders", 4).start().await.unwrap();
    let cluster = Cluster::builder(broker.bootstrap())
        .connector(broker.dialer())
        .connect()
        .await
        .unwrap();
    let producer = Producer::builder(cluster).compression(compression).build();
    let orders = producer.unwrap().topic("orders");
    (broker, orders)
}

/// Blocks allocated while `RECORDS` records go their way, each delivery awaited.
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

// One test only: the allocator counts for the whole process.
#[tokio::test]
async fn a_record_costs_no_allocation_once_buffers_are_warm() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let mut open = VecDeque::with_capacity(10_001);
    for compression in [Compression::None, Compression::LZ4] {
        let (_broker, orders) = topic(compression).await;
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
}
