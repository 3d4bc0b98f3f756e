//! Memory and pace. A slow partition holds back itself and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use milena_broker::ApiKey;
use milena_consumer::Order;
use milena_core::{Gauge, Key, Partition};
use milena_protocol::any::AnyRequest;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::bed::{Seen, bed, bed_with, eventually, run, run_noting};

#[tokio::test(start_paused = true)]
async fn a_partition_that_stands_still_never_holds_the_others_however_little_memory_there_is() {
    let bed = bed(3).await;
    bed.fill(3, 0, 2_000).await;
    let seen = Seen::default();
    let noted = seen.clone();
    let builder = bed
        .builder()
        .await
        .buffer_memory(64 << 10)
        .max_partition_fetch_bytes(4 << 10);
    let handler = move |partition: Partition, milena_core::Value(value): milena_core::Value| {
        let noted = noted.clone();
        async move {
            if partition.index() == 0 {
                std::future::pending::<()>().await;
            }
            noted.note_parts(partition, &value);
        }
    };
    let running = run(builder.drain_timeout(Duration::from_secs(1)), handler);
    seen.until_len(4_000).await;
    for partition in [1, 2] {
        assert_eq!(seen.of(partition), (0..2_000).collect::<Vec<_>>());
    }
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_full_is_fetched_again_soon_though_others_of_its_broker_have_nothing_new()
 {
    let bed = bed_with(2, |broker| broker.brokers(1)).await;
    for batch in 0..400 {
        bed.fill(1, batch * 20, 20).await; // The other partition stays empty.
    }
    let builder = bed.builder().await;
    let builder = builder
        .fetch_max_wait(Duration::from_secs(5))
        .max_partition_fetch_bytes(4 << 10)
        .buffer_memory(64 << 10);
    let (seen, began) = (Seen::default(), Instant::now());
    let noted = seen.clone();
    let running = run(
        builder,
        move |partition: Partition, milena_core::Value(value): milena_core::Value| {
            let noted = noted.clone();
            async move {
                sleep(Duration::from_millis(1)).await;
                noted.note_parts(partition, &value);
            }
        },
    );
    seen.until_len(8_000).await;
    // The handler needs eight seconds. Each fetch that the broker holds for the idle partition
    // would add five.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn keys_keep_their_order_while_others_go_on_beside_them() {
    let bed = bed(1).await;
    bed.fill(1, 0, 140).await; // seven keys in turn
    let by_key = Arc::new(Mutex::new(Vec::<(Vec<u8>, usize)>::new()));
    let noted = Arc::clone(&by_key);
    let builder = bed.builder().await.order(Order::Key(16));
    let began = Instant::now();
    let running = run(
        builder,
        move |Key(key): Key, milena_core::Text(value): milena_core::Text| {
            let noted = Arc::clone(&noted);
            async move {
                sleep(Duration::from_millis(if &key[..] == b"key-3" {
                    500
                } else {
                    100
                }))
                .await;
                noted.lock().push((key.to_vec(), value.parse().unwrap()));
            }
        },
    );
    eventually("all is committed", || bed.committed(0) == Some(140)).await;
    // The twenty records of the slow key take ten seconds. In one lane, all records would take
    // twenty-two.
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    running.end().await;
    let seen = by_key.lock();
    for key in 0..7 {
        let name = format!("key-{key}").into_bytes();
        let values: Vec<_> = seen
            .iter()
            .filter(|(key, _)| *key == name)
            .map(|(_, v)| *v)
            .collect();
        assert_eq!(
            values,
            (0..140).filter(|n| n % 7 == key).collect::<Vec<_>>()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn unordered_records_are_processed_side_by_side_up_to_the_limit() {
    let bed = bed(1).await;
    bed.fill(1, 0, 100).await;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, peak) = (Arc::clone(&now), Arc::clone(&most));
    let builder = bed.builder().await.order(Order::Unordered(10));
    let running = run(builder, move |_: Partition| {
        let (count, peak) = (Arc::clone(&count), Arc::clone(&peak));
        async move {
            peak.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(100)).await;
            count.fetch_sub(1, Ordering::SeqCst);
        }
    });
    eventually("all is committed", || bed.committed(0) == Some(100)).await;
    assert_eq!(most.load(Ordering::SeqCst), 10);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_record_holds_the_commit_back_while_others_behind_it_are_done() {
    let bed = bed(1).await;
    bed.fill(1, 0, 50).await;
    let builder = bed.builder().await.order(Order::Unordered(8));
    let running = run(builder, async |offset: milena_core::Offset| {
        if offset.to_wire() == 5 {
            sleep(Duration::from_secs(20)).await;
        }
    });
    sleep(Duration::from_secs(10)).await;
    assert_eq!(
        bed.committed(0),
        Some(5),
        "others are done, but the fifth is not"
    );
    eventually("all is committed", || bed.committed(0) == Some(50)).await;
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_twice_and_idle_consumers_ask_twice_a_second_at_most() {
    let bed = bed(2).await;
    bed.fill(2, 0, 100).await;
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    seen.until_len(200).await;
    sleep(Duration::from_secs(5)).await;
    let before = bed.broker.journal().requests(ApiKey::Fetch).len();
    sleep(Duration::from_secs(60)).await;
    let idle = bed.broker.journal().requests(ApiKey::Fetch).len() - before;
    // Two brokers, each answering an empty Fetch after 500 ms.
    assert!(idle <= 2 * 2 * 61, "{idle} requests in a minute");
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn brokers_are_asked_for_as_much_and_as_long_as_was_set() {
    let bed = bed(1).await;
    let builder = bed.builder().await.fetch_min_bytes(2_000);
    let builder = builder.fetch_max_wait(Duration::from_secs(7));
    let builder = builder
        .fetch_max_bytes(300_000)
        .max_partition_fetch_bytes(100_000);
    let consumer = builder.build().unwrap();
    bed.fill(1, 0, 100).await;
    for _ in 0..100 {
        consumer.recv().await.unwrap();
    }
    let asked = bed.broker.journal().requests(ApiKey::Fetch);
    let mut asked = asked.iter().filter_map(|entry| match entry.message()? {
        AnyRequest::Fetch(request) => Some(request),
        _ => None,
    });
    let told = asked.next().unwrap();
    let partition = &told.topics[0].partitions[0];
    assert_eq!((told.min_bytes, told.max_wait_ms), (2_000, 7_000));
    assert!((100_000..=300_000).contains(&partition.partition_max_bytes));
    assert!(asked.all(|request| request.max_bytes <= 300_000));

    // A record below `fetch.min.bytes` comes when the wait is over. More bytes come at once.
    sleep(Duration::from_millis(100)).await;
    let before = Instant::now();
    bed.fill(1, 100, 1).await;
    consumer.recv().await.unwrap();
    let waited = before.elapsed();
    assert!(
        waited > Duration::from_secs(3) && waited < Duration::from_secs(8),
        "{waited:?}"
    );
    sleep(Duration::from_millis(100)).await;
    let before = Instant::now();
    bed.fill(1, 101, 200).await;
    consumer.recv().await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(3));
    consumer.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_gauges_tell_lag_and_what_is_held() {
    let bed = bed(1).await;
    bed.fill(1, 0, 30).await;
    let consumer = bed.builder().await.build().unwrap();
    consumer.recv().await.unwrap();
    consumer.commit().await.unwrap();
    let (mut lag, mut used) = (None, 0);
    consumer.gauges().read(&mut |gauge| match gauge {
        Gauge::Lag { group, records, .. } => lag = Some((group.to_owned(), records)),
        Gauge::BufferUsed { used: bytes, .. } => used = bytes,
        _ => {}
    });
    assert_eq!(lag, Some(("billing".to_owned(), 29)));
    assert!(used > 0, "the batch is held");
    consumer.close().await;
}
