//! The ways to receive records, namely one by one, several at a time, by batches and as streams.
//! They read the same queues, and none loses a record.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use milena_broker::ApiKey;
use milena_consumer::{AssignedConsumer, StartAt};
use milena_core::{ConsumerRecord, Offset, Partition, TopicPartition};
use milena_producer::Producer;
use milena_protocol::compression::Compression;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::bed::reading::{place, reader};
use crate::bed::{LIMIT, Seen, bed, eventually};

/// Checks that each partition's offsets are complete from 0, in order.
fn expect_all(records: &[ConsumerRecord], each: i64) {
    let mut by_partition: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for record in records {
        let offsets = by_partition.entry(record.partition.to_wire()).or_default();
        offsets.push(record.offset.to_wire());
    }
    for (partition, offsets) in by_partition {
        let expected: Vec<_> = (0..each).collect();
        assert_eq!(offsets, expected, "partition {partition}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_gives_every_record_and_ends_with_the_consumer() {
    let bed = bed(2).await;
    bed.fill(2, 0, 50).await;
    let consumer = reader(&bed, 2).await;
    let stop = consumer.shutdown_handle();
    let mut records = Vec::new();
    let mut stream = consumer.stream();
    while records.len() < 100 {
        records.push(
            timeout(LIMIT, stream.next())
                .await
                .unwrap()
                .unwrap()
                .unwrap(),
        );
    }
    expect_all(&records, 50);
    assert!(stream.next().now_or_never().is_none(), "it waits for more");
    assert!(!stop.is_shutting_down());
    consumer.close().await;
    assert!(timeout(LIMIT, stream.next()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn streams_combine_as_all_streams_do() {
    let bed = bed(1).await;
    bed.fill(1, 0, 40).await;
    let consumer = reader(&bed, 1).await;
    let first = StreamExt::take(consumer.stream(), 7).collect::<Vec<_>>();
    let first = timeout(LIMIT, first).await.unwrap();
    let offsets = first.into_iter().map(|r| r.unwrap().offset.to_wire());
    assert!(offsets.eq(0..7));
    let batches = consumer.batches().map(|batch| batch.unwrap().next_offset());
    let next = timeout(LIMIT, StreamExt::take(batches, 1).collect::<Vec<_>>()).await;
    assert!(
        next.unwrap()[0].to_wire() > 7,
        "the rest of the batch, and on"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_polls_takes_no_wake_up_from_others() {
    let bed = bed(1).await;
    let consumer = reader(&bed, 1).await;
    let mut stream = consumer.stream();
    assert!(stream.next().now_or_never().is_none());
    let received = async { timeout(LIMIT, consumer.recv()).await.unwrap().unwrap() };
    let (record, ()) = tokio::join!(received, bed.fill(1, 0, 1));
    assert_eq!(record.offset, Offset::ZERO);
    bed.fill(1, 1, 1).await;
    let next = timeout(LIMIT, stream.next()).await.unwrap();
    assert_eq!(next.unwrap().unwrap().offset, 1.into());
}

#[tokio::test(start_paused = true)]
async fn some_at_a_time_come_as_soon_as_there_is_one_and_none_when_the_wait_is_over() {
    let bed = bed(1).await;
    let consumer = reader(&bed, 1).await;
    let began = Instant::now();
    let wait = Duration::from_secs(7);
    assert!(consumer.next_batch(100, wait).await.unwrap().is_empty());
    assert_eq!(began.elapsed(), wait);
    bed.fill(1, 0, 25).await;
    let mut all = Vec::new();
    while all.len() < 25 {
        let some = consumer.next_batch(10, LIMIT).await.unwrap();
        assert!((1..=10).contains(&some.len()), "{}", some.len());
        all.extend(some);
    }
    expect_all(&all, 25);
}

#[tokio::test(start_paused = true)]
async fn ways_may_be_mixed_and_order_holds() {
    let bed = bed(1).await;
    bed.fill(1, 0, 60).await;
    let consumer = reader(&bed, 1).await;
    let mut offsets = Vec::new();
    for _ in 0..5 {
        offsets.push(consumer.recv().await.unwrap().offset.to_wire());
    }
    let batch = consumer.recv_batch().await.unwrap();
    offsets.extend(batch.iter().take(1).map(|r| r.unwrap().offset.to_wire()));
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5], "the rest of the batch in hand");
    let next = batch.next_offset();
    bed.fill(1, 60, 3).await;
    if next.to_wire() < 63 {
        let record = timeout(LIMIT, consumer.stream().next()).await.unwrap();
        assert_eq!(record.unwrap().unwrap().offset, next);
    }
}

/// Polls `future` at most `polls` times, then drops it.
async fn polled<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_future_dropped_at_any_poll_loses_nothing_plain_or_compressed() {
    for compression in [Compression::None, Compression::Zstd(3)] {
        let bed = bed(2).await;
        let cluster = bed.cluster("filler").await;
        let producer = Producer::builder(cluster).compression(compression);
        let producer = producer.build().unwrap();
        // Batches large enough to be unpacked on another thread.
        let noise = || -> Vec<u8> {
            std::iter::repeat_with(|| fastrand::u8(..))
                .take(3000)
                .collect()
        };
        for partition in 0..2 {
            for _ in 0..200 {
                let record = milena_core::ProducerRecord::new("orders");
                let record = record.partition(partition).value(noise());
                drop(producer.enqueue(record).await.unwrap());
            }
        }
        producer.flush().await.unwrap();
        let consumer = reader(&bed, 2).await;
        let mut records = Vec::new();
        let mut round = 0_usize;
        let ending = Instant::now() + LIMIT;
        while records.len() < 400 {
            assert!(Instant::now() < ending, "stuck at {}", records.len());
            round += 1;
            let polls = 1 + round % 3;
            match round % 4 {
                0 => records.extend(polled(polls, consumer.recv()).await.map(Result::unwrap)),
                1 => {
                    let some = polled(polls, consumer.next_batch(7, Duration::from_millis(5)));
                    records.extend(some.await.map(Result::unwrap).unwrap_or_default());
                }
                2 => {
                    let mut stream = consumer.stream();
                    let item = polled(polls, stream.next()).await.flatten();
                    records.extend(item.map(Result::unwrap));
                }
                _ => {
                    if let Some(batch) = polled(polls, consumer.recv_batch()).await {
                        records.extend(batch.unwrap().records().map(Result::unwrap));
                    }
                }
            }
            if round.is_multiple_of(16) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        expect_all(&records, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn several_tasks_may_receive_at_once_and_each_record_goes_to_one() {
    let bed = bed(3).await;
    bed.fill(3, 0, 300).await;
    let consumer = Arc::new(reader(&bed, 3).await);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let (consumer, seen) = (Arc::clone(&consumer), Arc::clone(&seen));
        tasks.spawn(async move {
            loop {
                if task == 0 {
                    let batch = consumer.recv_batch().await.unwrap();
                    seen.lock().extend(batch.records().map(Result::unwrap));
                } else {
                    let record = consumer.recv().await.unwrap();
                    seen.lock().push(record);
                }
            }
        });
    }
    eventually("all are received", || seen.lock().len() >= 900).await;
    tasks.shutdown().await;
    let mut seen = std::mem::take(&mut *seen.lock());
    seen.sort_by_key(|record| (record.partition.to_wire(), record.offset));
    expect_all(&seen, 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn compressed_batches_come_whole_and_in_order_whoever_decompresses_them() {
    // Small batches for the reader or an opener, and large ones for openers alone.
    for (compression, batch_size) in [
        (Compression::LZ4, 32_000),
        (Compression::ZSTD, 32_000),
        (Compression::LZ4, 900_000),
    ] {
        let bed = bed(4).await;
        let cluster = bed.cluster("filler").await;
        let producer = Producer::builder(cluster)
            .compression(compression)
            .batch_size(batch_size);
        let producer = producer.build().unwrap();
        const EACH: i64 = 1_500;
        for number in 0..EACH {
            for partition in 0..4 {
                let mut value = number.to_le_bytes().to_vec();
                value.extend(std::iter::repeat_with(|| fastrand::u8(..)).take(1_500));
                let record = milena_core::ProducerRecord::new("orders").partition(partition);
                drop(producer.enqueue(record.value(value)).await.unwrap());
            }
        }
        producer.flush().await.unwrap();
        let consumer = Arc::new(reader(&bed, 4).await);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let running = Arc::clone(&consumer);
        let running = tokio::spawn(async move {
            let handler = move |record: ConsumerRecord| {
                noted.lock().push(record);
                async {}
            };
            running.run(handler).await
        });
        eventually("all are handled", || seen.lock().len() >= 4 * EACH as usize).await;
        consumer.close().await;
        running.await.unwrap().unwrap();
        let seen = std::mem::take(&mut *seen.lock());
        expect_all(&seen, EACH);
        for record in seen {
            let value = record.value.unwrap();
            assert_eq!(value[..8], record.offset.to_wire().to_le_bytes());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_keeps_what_was_fetched_even_amid_a_batch() {
    let bed = bed(2).await;
    bed.fill(2, 0, 20).await;
    let consumer = reader(&bed, 2).await;
    let first = consumer.recv().await.unwrap();
    let paused = TopicPartition {
        topic: first.topic.clone(),
        partition: first.partition,
    };
    consumer.pause(&paused).unwrap();
    let mut others = 0;
    while let Some(record) = consumer
        .next_batch(1, Duration::from_secs(2))
        .await
        .unwrap()
        .pop()
    {
        assert_ne!(record.partition, first.partition, "it is paused");
        others += 1;
    }
    assert_eq!(others, 20);
    let fetched_from = |offset: i64| {
        let journal = bed.broker.journal().requests(ApiKey::Fetch);
        let fetches = journal.iter().filter_map(|entry| match entry.message()? {
            milena_protocol::any::AnyRequest::Fetch(fetch) => Some(fetch.clone()),
            _ => None,
        });
        fetches
            .flat_map(|fetch| fetch.topics)
            .flat_map(|topic| topic.partitions)
            .filter(|entry| {
                entry.partition == first.partition.to_wire() && entry.fetch_offset == offset
            })
            .count()
    };
    consumer.resume(&paused).unwrap();
    for expected in 1..20 {
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.offset.to_wire(), expected);
    }
    assert_eq!(fetched_from(0), 1, "nothing was fetched twice");
    assert_eq!(fetched_from(1), 0, "nothing was fetched twice");
}

#[tokio::test(start_paused = true)]
async fn partitions_are_assigned_and_given_up_while_a_handler_runs() {
    let bed = bed(3).await;
    bed.fill(3, 0, 10).await;
    let consumer = Arc::new(
        AssignedConsumer::builder(bed.cluster("consumer").await)
            .build()
            .unwrap(),
    );
    let seen = Seen::default();
    let noted = seen.clone();
    let running = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move {
            consumer
                .run(
                    move |partition: Partition, milena_core::Value(value): milena_core::Value| {
                        let noted = noted.clone();
                        async move { noted.note_parts(partition, &value) }
                    },
                )
                .await
        }
    });
    tokio::task::yield_now().await;
    consumer.assign([(place(0), StartAt::Beginning)]);
    seen.until_len(10).await;
    consumer.assign([(place(2), StartAt::Offset(4.into()))]);
    seen.until_len(16).await;
    consumer.unassign([place(0)]);
    bed.fill(3, 10, 5).await;
    seen.until_len(21).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(seen.of(0), (0..10).collect::<Vec<_>>(), "it was given up");
    assert_eq!(seen.of(2), (4..15).collect::<Vec<_>>());
    assert!(seen.of(1).is_empty());
    assert_eq!(consumer.assignment(), [place(2)]);
    consumer.close().await;
    assert_eq!(running.await.unwrap().unwrap().processed, 21);
}

#[tokio::test(start_paused = true)]
async fn a_handler_at_work_may_end_when_its_partition_is_given_up() {
    let bed = bed(1).await;
    bed.fill(1, 0, 2).await;
    let consumer = Arc::new(reader(&bed, 1).await);
    let ended = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&ended);
    let running = tokio::spawn({
        let consumer = Arc::clone(&consumer);
        async move {
            consumer
                .run(move |offset: Offset| {
                    let noted = Arc::clone(&noted);
                    async move {
                        tokio::time::sleep(Duration::from_secs(10)).await;
                        noted.lock().push(offset.to_wire());
                    }
                })
                .await
        }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    consumer.unassign([place(0)]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(*ended.lock(), [0], "it may end, and the next is not begun");
    consumer.close().await;
    running.await.unwrap().unwrap();
}
