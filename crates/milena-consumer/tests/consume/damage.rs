//! Records that cannot be read, and records that a reader must not see. They are reported, skipped
//! or left out, never without a log line and never in a hot loop.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milena_broker::ApiKey;
use milena_consumer::{AssignedConsumer, CorruptPolicy, IsolationLevel, StartAt};
use milena_core::{
    ErrorKind, Event, HeadersRef, Observer, Offset, ProducerEpoch, ProducerId, ProducerRecord,
    Sequence, Timestamp, TopicPartition,
};
use milena_producer::Producer;
use milena_protocol::batch::{BatchBuilder, ControlRecord, ProducerStamp, rewrite};
use milena_protocol::compression::Compression;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use crate::bed::reading::expect;
use crate::bed::{Bed, LIMIT, Seen, bed, eventually, run_noting};

fn place() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

/// Writes `count` batches of two records each.
async fn batches(bed: &Bed, count: usize, compression: Compression, value: &[u8]) {
    let cluster = bed.cluster("filler").await;
    let producer = Producer::builder(cluster).compression(compression);
    let producer = producer.build().unwrap();
    for _ in 0..count {
        let record = || {
            let record = ProducerRecord::new("orders").partition(0);
            record.value(Bytes::copy_from_slice(value))
        };
        let first = producer.enqueue(record()).await.unwrap();
        let second = producer.enqueue(record()).await.unwrap();
        first.await.unwrap();
        second.await.unwrap();
    }
}

/// Returns the first offset of each batch, and the offset after the last.
fn bounds(bed: &Bed) -> Vec<i64> {
    let batches = bed.broker.inspect().batches("orders", 0);
    let mut firsts: Vec<_> = batches.iter().map(|b| b.base_offset.to_wire()).collect();
    firsts.push(batches.last().unwrap().next_offset().to_wire());
    firsts
}

async fn reader(bed: &Bed, policy: CorruptPolicy) -> AssignedConsumer {
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .on_corrupt(policy)
        .build()
        .unwrap();
    consumer.assign([(place(), StartAt::Beginning)]);
    consumer
}

#[derive(Default)]
struct Skipped(Mutex<Vec<(i64, i64)>>);

impl Observer for Skipped {
    fn on(&self, event: &Event<'_>) {
        if let Event::CorruptSkipped { from, to, .. } = event {
            self.0.lock().push((*from, *to));
        }
    }
}

type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 4] = [
    ("a flipped bit", |bytes| *bytes.last_mut().unwrap() ^= 1),
    ("no records where some are told", |bytes| {
        bytes[61] = 0x7f;
        rewrite::renew_crc(bytes);
    }),
    ("an unknown codec", |bytes| {
        bytes[22] |= 7;
        rewrite::renew_crc(bytes);
    }),
    ("a body that is not compressed though told so", |bytes| {
        bytes[22] |= 4;
        rewrite::renew_crc(bytes);
    }),
];

#[tokio::test(start_paused = true)]
async fn unreadable_batches_are_told_with_their_place_and_the_records_before_them_given() {
    for (what, damage) in DAMAGES {
        let bed = bed(1).await;
        batches(&bed, 5, Compression::None, b"value").await;
        let bounds = bounds(&bed);
        let (bad, next) = (bounds[2], bounds[3]);
        bed.broker.inspect().damage("orders", 0, bad, damage);
        let consumer = reader(&bed, CorruptPolicy::Stop).await;
        for expected in 0..bad {
            let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
            assert_eq!(record.offset.to_wire(), expected, "{what}");
        }
        let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Decode | ErrorKind::Unsupported),
            "{what}: {error:?}"
        );
        let place = error.place();
        assert_eq!(place.offset.map(Offset::to_wire), Some(bad), "{what}");
        assert_eq!(place.topic.as_deref(), Some("orders"), "{what}");
        assert_eq!(
            place.partition.map(milena_core::Partition::to_wire),
            Some(0),
            "{what}"
        );
        // Each call returns the error again, and the broker does not get a flood of fetches.
        bed.broker.journal().clear();
        let began = Instant::now();
        for _ in 0..6 {
            let again = timeout(LIMIT, consumer.recv()).await.unwrap();
            assert!(again.is_err(), "{what}: {again:?}");
        }
        let fetches = bed.broker.journal().requests(ApiKey::Fetch).len();
        assert!(fetches <= 14, "{what}: {fetches} fetches");
        assert!(began.elapsed() >= Duration::from_millis(500), "{what}");
        consumer
            .seek(&super::damage::place(), Offset::from_wire(next).unwrap())
            .unwrap();
        let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.offset.to_wire(), next, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_in_any_batch_of_a_large_answer_is_told_with_its_place() {
    const BATCHES: usize = 6;
    for hurt in 0..BATCHES {
        let bed = bed(1).await;
        batches(&bed, BATCHES, Compression::None, &[7; 40_000]).await;
        let bounds = bounds(&bed);
        let (bad, next) = (bounds[hurt], bounds[hurt + 1]);
        let flip = |bytes: &mut Vec<u8>| bytes[50_000] ^= 1;
        bed.broker.inspect().damage("orders", 0, bad, flip);
        let consumer = reader(&bed, CorruptPolicy::Stop).await;
        expect(&consumer, 0..bad).await;
        let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
        assert!(error.to_string().contains("CRC"), "{error}");
        let told = error.place();
        assert_eq!(told.offset.map(Offset::to_wire), Some(bad));
        assert_eq!(told.topic.as_deref(), Some("orders"));
        assert_eq!(told.partition.map(milena_core::Partition::to_wire), Some(0));
        let skipper = reader(&bed, CorruptPolicy::Skip).await;
        expect(&skipper, (0..bad).chain(next..bounds[BATCHES])).await;
    }
}

/// Batches of which an opener or the reader decompresses each, whichever comes first, and larger
/// ones that only an opener decompresses.
const OPENED_AHEAD: [usize; 2] = [40_000, 700_000];

#[tokio::test(start_paused = true)]
async fn a_compressed_batch_that_does_not_decompress_is_told_wherever_it_lies() {
    const BATCHES: usize = 5;
    let spoil = |bytes: &mut Vec<u8>| {
        // Behind the header of the frame, so that only its end does not decompress.
        let end = bytes.len() - 2_000;
        bytes.truncate(end);
        let length = i32::try_from(end - 12).unwrap();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        rewrite::renew_crc(bytes);
    };
    for size in OPENED_AHEAD {
        for hurt in 0..BATCHES {
            let bed = bed(1).await;
            let noise: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
                .take(size / 2)
                .collect();
            batches(&bed, BATCHES, Compression::LZ4, &noise).await;
            let bounds = bounds(&bed);
            let (bad, next, end) = (bounds[hurt], bounds[hurt + 1], *bounds.last().unwrap());
            bed.broker.inspect().damage("orders", 0, bad, spoil);
            let consumer = reader(&bed, CorruptPolicy::Stop).await;
            expect(&consumer, 0..bad).await;
            let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Decode, "{error:?}");
            assert_eq!(error.place().offset.map(Offset::to_wire), Some(bad));
            let skipper = reader(&bed, CorruptPolicy::Skip).await;
            expect(&skipper, (0..bad).chain(next..end)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handlers_lane_stops_at_unreadable_records_or_passes_them_over_as_told() {
    for (what, damage) in &DAMAGES[..2] {
        let bed = bed(1).await;
        bed.fill(1, 0, 5).await;
        let bad = bed.broker.inspect().end_offset("orders", 0).unwrap();
        bed.fill(1, 5, 5).await;
        let next = bed.broker.inspect().end_offset("orders", 0).unwrap();
        bed.fill(1, 10, 5).await;
        bed.broker.inspect().damage("orders", 0, bad, damage);
        let hurt = |bed: &Bed| {
            let batches = bed.broker.inspect().batches("orders", 0);
            let hurt = batches.iter().find(|b| b.base_offset.to_wire() == bad);
            hurt.map(|b| b.next_offset().to_wire()).unwrap()
        };
        let seen = Seen::default();
        let error = run_noting(bed.builder().await, &seen).ended().await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Decode, "{what}");
        assert_eq!(seen.of(0), (0..5).collect::<Vec<_>>(), "{what}");
        assert_eq!(bed.committed(0), Some(bad), "{what}: not past it");

        let told = Arc::new(Skipped::default());
        let seen = Seen::default();
        let builder = bed.builder().await.add_observer(told.clone());
        let running = run_noting(builder.on_corrupt(CorruptPolicy::Skip), &seen);
        eventually("it goes on behind them", || {
            bed.committed(0) == bed.broker.inspect().end_offset("orders", 0)
        })
        .await;
        let report = running.end().await;
        assert_eq!(report.corrupt, 1, "{what}");
        assert_eq!(*told.0.lock(), [(bad, hurt(&bed))], "{what}");
        assert!(seen.of(0).contains(&14), "{what}");
        assert!(next > bad);
    }
}

#[tokio::test(start_paused = true)]
async fn a_header_that_cannot_be_read_is_told_under_both_policies() {
    for policy in [CorruptPolicy::Stop, CorruptPolicy::Skip] {
        let bed = bed(1).await;
        batches(&bed, 3, Compression::None, b"value").await;
        let bad = bounds(&bed)[1];
        bed.broker
            .inspect()
            .damage("orders", 0, bad, |bytes| bytes[16] = 9);
        let consumer = reader(&bed, policy).await;
        expect(&consumer, 0..bad).await;
        let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
        assert_eq!(error.place().offset.map(Offset::to_wire), Some(bad));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_always_comes_cut_short_is_told_after_some_tries() {
    let bed = bed(1).await;
    batches(&bed, 1, Compression::None, b"value").await;
    bed.broker
        .inspect()
        .damage("orders", 0, 0, |bytes| bytes.truncate(bytes.len() - 3));
    let consumer = reader(&bed, CorruptPolicy::Stop).await;
    let error = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("cut short"), "{error}");
    assert_eq!(error.place().offset, Some(Offset::ZERO));
    let fetches = bed.broker.journal().requests(ApiKey::Fetch).len();
    assert!(fetches <= 4, "{fetches} fetches");
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_would_grow_over_the_limit_is_not_unpacked() {
    let bed = bed(1).await;
    let zeros = vec![0; 400 << 10];
    for compression in [
        Compression::Gzip(6),
        Compression::Snappy,
        Compression::Lz4(1),
        Compression::Zstd(3),
    ] {
        batches(&bed, 1, compression, &zeros).await;
    }
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .max_batch_size(300 << 10)
        .on_corrupt(CorruptPolicy::Skip)
        .build()
        .unwrap();
    let told = consumer.gauges();
    consumer.assign([(place(), StartAt::Beginning)]);
    batches(&bed, 1, Compression::None, b"small").await;
    let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
    assert_eq!(record.value.unwrap(), "small", "the bombs are passed over");
    told.read(&mut |gauge| {
        if let milena_core::Gauge::BufferUsed { used, .. } = gauge {
            assert!(used < 2 << 20, "{used} bytes are held");
        }
    });
    let stopped = AssignedConsumer::builder(bed.cluster("consumer").await)
        .max_batch_size(300 << 10)
        .build()
        .unwrap();
    stopped.assign([(place(), StartAt::Beginning)]);
    let error = timeout(LIMIT, stopped.recv()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.place().offset, Some(Offset::ZERO));
    assert_eq!(error.place().setting.as_deref(), Some("max_batch_size"));
    assert!(error.to_string().contains("307200 bytes"), "{error}");
}

/// Returns a batch with one record of an open transaction.
fn transactional(producer: i64, sequence: i32, value: &str) -> Bytes {
    let mut open = BatchBuilder::with_capacity(64);
    let value = Some(value.as_bytes());
    open.append(Timestamp::from_millis(1), None, value, HeadersRef::empty())
        .unwrap();
    let (sealed, _) = open.seal(Compression::None).unwrap();
    sealed.to_bytes(Some(ProducerStamp {
        id: ProducerId::from_wire(producer).unwrap(),
        epoch: ProducerEpoch::from_wire(0).unwrap(),
        sequence: Sequence::from_wire(sequence).unwrap(),
        transactional: true,
    }))
}

fn marker(producer: i64, abort: bool) -> Bytes {
    let coordinator_epoch = 0;
    let marker = if abort {
        ControlRecord::Abort { coordinator_epoch }
    } else {
        ControlRecord::Commit { coordinator_epoch }
    };
    let id = ProducerId::from_wire(producer).unwrap();
    let epoch = ProducerEpoch::from_wire(0).unwrap();
    marker
        .to_batch(Offset::ZERO, (id, epoch), Timestamp::from_millis(1))
        .unwrap()
}

async fn values(bed: &Bed, isolation: IsolationLevel) -> Vec<String> {
    let consumer = AssignedConsumer::builder(bed.cluster("consumer").await)
        .isolation_level(isolation)
        .build()
        .unwrap();
    consumer.assign([(place(), StartAt::Beginning)]);
    let mut values = Vec::new();
    loop {
        let some = consumer
            .next_batch(100, Duration::from_secs(3))
            .await
            .unwrap();
        if some.is_empty() {
            return values;
        }
        let texts = some.into_iter().filter_map(|record| record.value);
        values.extend(texts.map(|value| String::from_utf8(value.to_vec()).unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn committed_reads_leave_out_aborted_records_by_producer_and_marker_and_stop_at_open_ones() {
    let bed = bed(1).await;
    let inspect = bed.broker.inspect();
    let append = |batch: &Bytes| inspect.append("orders", 0, batch).unwrap();
    for batch in [
        transactional(7, 0, "seven aborted"),
        transactional(8, 0, "eight committed"),
        marker(7, true),
        transactional(7, 1, "seven committed"),
        transactional(9, 0, "nine aborted"),
        marker(7, false),
        marker(8, false),
        transactional(9, 1, "nine aborted too"),
        marker(9, true),
    ] {
        append(&batch);
    }
    batches(&bed, 1, Compression::None, b"plain").await;
    let committed = ["eight committed", "seven committed", "plain", "plain"];
    assert_eq!(values(&bed, IsolationLevel::ReadCommitted).await, committed);
    assert_eq!(values(&bed, IsolationLevel::ReadUncommitted).await.len(), 7);
    append(&transactional(8, 1, "open"));
    batches(&bed, 1, Compression::None, b"behind").await;
    assert_eq!(values(&bed, IsolationLevel::ReadCommitted).await, committed);
    append(&marker(8, false));
    let all = values(&bed, IsolationLevel::ReadCommitted).await;
    assert_eq!(all[4..], ["open", "behind", "behind"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_left_out_at_the_end_of_a_log_is_committed_as_passed() {
    let bed = bed(1).await;
    bed.fill(1, 0, 3).await;
    let inspect = bed.broker.inspect();
    inspect
        .append("orders", 0, &transactional(7, 0, "aborted"))
        .unwrap();
    inspect.append("orders", 0, &marker(7, true)).unwrap();
    let end = inspect.end_offset("orders", 0);
    let seen = Seen::default();
    let running = run_noting(bed.builder().await, &seen);
    eventually("all is passed", || bed.committed(0) == end).await;
    running.end().await;
    assert_eq!(seen.of(0), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_header_whose_checksum_is_wrong_says_nothing_of_where_its_batch_ends() {
    // Bits that move the end of the batch far past the log, within the log, and before its own
    // start, that change its record count, and that make it a marker.
    let flips: [(usize, u8); 6] = [
        (23, 0x20),
        (26, 0x04),
        (26, 0x01),
        (26, 0x80),
        (60, 0x01),
        (22, 0x20),
    ];
    for (at, bit) in flips {
        let bed = bed(1).await;
        batches(&bed, 8, Compression::None, b"value").await;
        let bounds = bounds(&bed);
        let hurt = bounds[3]..bounds[4];
        bed.broker
            .inspect()
            .damage("orders", 0, hurt.start, |bytes| bytes[at] ^= bit);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let builder = bed.builder().await.on_corrupt(CorruptPolicy::Skip);
        let running = crate::bed::run(builder, move |offset: Offset| {
            noted.lock().push(offset.to_wire());
            async {}
        });
        let expected: Vec<_> = (0..16).filter(|offset| !hurt.contains(offset)).collect();
        eventually("those behind it", || seen.lock().len() >= expected.len()).await;
        eventually("all is committed", || bed.committed(0) == Some(16)).await;
        running.end().await;
        assert_eq!(*seen.lock(), expected, "byte {at}, bit {bit:#x}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_batch_at_the_end_of_the_log_is_passed_once_another_follows_and_else_told() {
    for follows in [true, false] {
        let bed = bed(1).await;
        batches(&bed, 3, Compression::None, b"value").await;
        let bounds = bounds(&bed);
        bed.broker
            .inspect()
            .damage("orders", 0, bounds[2], |bytes| bytes[23] ^= 0x20);
        let consumer = reader(&bed, CorruptPolicy::Skip).await;
        expect(&consumer, 0..bounds[2]).await;
        if follows {
            batches(&bed, 1, Compression::None, b"value").await;
            let record = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap();
            assert_eq!(record.offset.to_wire(), bounds[3]);
        } else {
            let told = timeout(LIMIT, consumer.recv()).await.unwrap().unwrap_err();
            assert_eq!(told.place().offset.map(Offset::to_wire), Some(bounds[2]));
            let position = consumer.position(&place()).unwrap().map(Offset::to_wire);
            assert_eq!(position, Some(bounds[2]), "never past the end");
        }
    }
}
