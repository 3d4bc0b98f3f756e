//! Compares the record-batch codec with that of `kafka-protocol`, with about 1 MB of records per
//! batch. Times are per batch.
//!
//! Run it with `cargo bench -p milena-benches --bench codec`. The rate that criterion prints is
//! records per second.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion writes the entry point; a bench may stop"
)]

use std::hint::black_box;
use std::io::Read;

use bytes::{Bytes, BytesMut};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::records as theirs;
use milena_benches::json_values;
use milena_core::{HeadersRef, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::batch::{BatchBuilder, Batches, ProducerStamp};
use milena_protocol::compression::{Compression, DEFAULT_MAX_SIZE, compress, decompress};

const BASE: i64 = 1_700_000_000_000;
const BATCH: usize = 1 << 20;

/// The sizes of values in bytes, with their names in the results.
const SIZES: [(usize, &str); 2] = [(100, "100 B"), (1024, "1 KiB")];

fn timestamp(index: usize) -> i64 {
    BASE + (index / 50) as i64
}

fn stamp() -> Option<ProducerStamp> {
    Some(ProducerStamp {
        id: ProducerId::from_wire(1)?,
        epoch: ProducerEpoch::from_wire(0)?,
        sequence: Sequence::ZERO,
        transactional: false,
    })
}

/// Encodes and seals one batch in `buffer`. Returns the buffer for reuse.
fn ours_encode(buffer: Vec<u8>, values: &[Vec<u8>]) -> Vec<u8> {
    let mut open = BatchBuilder::with_buffer(buffer);
    for (index, value) in values.iter().enumerate() {
        let time = Timestamp::from_millis(timestamp(index));
        open.append(time, None, Some(value), HeadersRef::empty())
            .unwrap();
    }
    let (batch, _) = open.seal(Compression::None).unwrap();
    black_box(batch.header(stamp()));
    black_box(batch.body());
    batch.reclaim().unwrap()
}

/// Builds the `kafka-protocol` record for a value. A caller with a `&[u8]` has to build it first.
fn their_record(index: usize, value: &[u8]) -> theirs::Record {
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 1,
        producer_epoch: 0,
        timestamp_type: theirs::TimestampType::Creation,
        offset: index as i64,
        sequence: index as i32,
        timestamp: timestamp(index),
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: Default::default(),
    }
}

fn their_encode(buffer: &mut BytesMut, records: &[theirs::Record]) {
    let options = theirs::RecordEncodeOptions {
        version: 2,
        compression: theirs::Compression::None,
    };
    buffer.clear();
    theirs::RecordBatchEncoder::encode(buffer, records.iter(), &options).unwrap();
}

fn wire(values: &[Vec<u8>], compression: Compression) -> Bytes {
    let mut open = BatchBuilder::with_capacity(2 * BATCH);
    for (index, value) in values.iter().enumerate() {
        let time = Timestamp::from_millis(timestamp(index));
        open.append(time, None, Some(value), HeadersRef::empty())
            .unwrap();
    }
    open.seal(compression).unwrap().0.to_bytes(stamp())
}

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for (size, name) in SIZES {
        let values = json_values(BATCH / size, size);
        group.throughput(Throughput::Elements(values.len() as u64));
        group.bench_function(BenchmarkId::new("milena", name), |b| {
            let mut buffer = Vec::with_capacity(2 * BATCH);
            b.iter(|| buffer = ours_encode(std::mem::take(&mut buffer), &values));
        });
        group.bench_function(BenchmarkId::new("kafka-protocol", name), |b| {
            let mut buffer = BytesMut::with_capacity(2 * BATCH);
            let mut records: Vec<theirs::Record> = Vec::with_capacity(values.len());
            b.iter(|| {
                records.clear();
                records.extend(
                    values
                        .iter()
                        .enumerate()
                        .map(|(i, value)| their_record(i, value)),
                );
                their_encode(&mut buffer, &records);
                black_box(&buffer);
            });
        });
    }
    group.finish();
}

/// Reads the first and the last byte of a value, so that no value is skipped.
fn touch(value: Option<&[u8]>) -> u64 {
    let value = value.unwrap_or_default();
    let end = |byte: Option<&u8>| byte.map_or(0, |byte| u64::from(*byte));
    end(value.first()) + end(value.last())
}

fn ours_decode(records: &Bytes) -> u64 {
    let mut sum = 0;
    for batch in Batches::new(records.clone()) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in batch.records(DEFAULT_MAX_SIZE).unwrap().iter() {
            let record = record.unwrap();
            sum += touch(record.value) + record.offset.to_wire() as u64;
        }
    }
    sum
}

fn ours_decode_owned(records: &Bytes) -> u64 {
    let mut sum = 0;
    for batch in Batches::new(records.clone()) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in batch.records(DEFAULT_MAX_SIZE).unwrap().owned() {
            let record = record.unwrap();
            sum += touch(record.value.as_deref()) + record.offset.to_wire() as u64;
        }
    }
    sum
}

fn their_decode(records: &Bytes) -> u64 {
    let set = theirs::RecordBatchDecoder::decode(&mut records.clone()).unwrap();
    set.records
        .iter()
        .map(|record| touch(record.value.as_deref()) + record.offset as u64)
        .sum()
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for (size, name) in SIZES {
        let values = json_values(BATCH / size, size);
        let records = wire(&values, Compression::None);
        assert_eq!(ours_decode(&records), their_decode(&records));
        assert_eq!(ours_decode(&records), ours_decode_owned(&records));
        group.throughput(Throughput::Elements(values.len() as u64));
        group.bench_function(BenchmarkId::new("milena views", name), |b| {
            b.iter(|| ours_decode(black_box(&records)));
        });
        group.bench_function(BenchmarkId::new("milena owned", name), |b| {
            b.iter(|| ours_decode_owned(black_box(&records)));
        });
        group.bench_function(BenchmarkId::new("kafka-protocol", name), |b| {
            b.iter(|| their_decode(black_box(&records)));
        });
    }
    group.finish();
}

fn codecs(c: &mut Criterion) {
    let values = json_values(1_000, 1_024);
    let raw = wire(&values, Compression::None);
    let body = raw.get(milena_protocol::batch::HEADER_LEN..).unwrap();
    let mut group = c.benchmark_group("codecs");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(body.len() as u64));
    for compression in [
        Compression::GZIP,
        Compression::Snappy,
        Compression::LZ4,
        Compression::ZSTD,
    ] {
        let name = compression.codec().name();
        let packed = compress(compression, body).unwrap();
        group.bench_function(BenchmarkId::new("compress", name), |b| {
            b.iter(|| compress(compression, black_box(body)).unwrap());
        });
        group.bench_function(BenchmarkId::new("decompress", name), |b| {
            b.iter(|| {
                decompress(compression.codec(), black_box(&packed), DEFAULT_MAX_SIZE).unwrap()
            });
        });
    }
    // For comparison, the frame reader of `lz4_flex` copies the data out of buffers that it fills
    // with zeros first.
    let packed = compress(Compression::LZ4, body).unwrap();
    group.bench_function(BenchmarkId::new("decompress", "lz4 by frames"), |b| {
        b.iter(|| {
            let mut out = Vec::with_capacity(3 * packed.len());
            let mut frames = lz4_flex::frame::FrameDecoder::new(black_box(&packed[..]));
            frames.read_to_end(&mut out).unwrap();
            out
        });
    });
    group.finish();
}

criterion_group!(benches, encode, decode, codecs);
criterion_main!(benches);
