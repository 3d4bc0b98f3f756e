//! Record batches, as a builder writes them, a reader reads them, and a broker changes them.

use bytes::Bytes;
use milena_core::{
    ErrorKind, HeadersRef, LeaderEpoch, Offset, ProducerEpoch, ProducerId, RecordHeader, Sequence,
    Timestamp, TimestampType,
};
use milena_protocol::batch::{
    Batch, BatchBuilder, BatchHeader, Batches, ControlRecord, HEADER_LEN, ProducerStamp, Records,
    SealedBatch, rewrite,
};
use milena_protocol::compression::{Compression, DEFAULT_MAX_SIZE};

const TIME: i64 = 1_700_000_000_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn stamp(transactional: bool) -> ProducerStamp {
    ProducerStamp {
        id: ProducerId::from_wire(9_000).unwrap(),
        epoch: ProducerEpoch::from_wire(4).unwrap(),
        sequence: Sequence::from_wire(70).unwrap(),
        transactional,
    }
}

fn sealed(values: &[&str], compression: Compression) -> SealedBatch {
    let mut open = BatchBuilder::default();
    for (index, value) in (0..).zip(values) {
        open.append(
            at(TIME + index),
            Some(b"key"),
            Some(value.as_bytes()),
            HeadersRef::empty(),
        )
        .unwrap();
    }
    open.seal(compression).unwrap().0
}

fn only(records: Bytes) -> Batch {
    let mut batches = Batches::new(records);
    let batch = batches.next().unwrap().unwrap();
    assert!(batches.next().is_none());
    batch
}

fn values(batch: &Batch) -> Vec<(i64, String)> {
    let records = batch.records(DEFAULT_MAX_SIZE).unwrap();
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    records
        .iter()
        .map(|record| record.unwrap())
        .map(|r| (r.offset.to_wire(), text(r.value)))
        .collect()
}

#[test]
fn a_record_is_laid_out_as_the_protocol_guide_says() {
    let mut open = BatchBuilder::default();
    let headers = [
        RecordHeader {
            key: "h".into(),
            value: Some("v".into()),
        },
        RecordHeader {
            key: "h".into(),
            value: None,
        },
    ];
    open.append(at(TIME), None, Some(b"a"), HeadersRef::empty())
        .unwrap();
    let info = open
        .append(at(TIME + 100), Some(b"k"), None, HeadersRef::list(&headers))
        .unwrap();
    let batch = open.seal(Compression::None).unwrap().0;
    #[rustfmt::skip]
    let expected = [
        // length 7, attributes, timestamp delta 0, offset delta 0, null key, value of 1, no headers
        14, 0, 0, 0, 1, 2, b'a', 0,
        // length 15, attributes, timestamp delta 100 (two bytes), offset delta 1, key of 1, null
        // value, two headers ("h" with "v", "h" with null)
        30, 0, 200, 1, 2, 2, b'k', 1, 4, 2, b'h', 2, b'v', 2, b'h', 1,
    ];
    assert_eq!(batch.body(), &expected[..]);
    assert_eq!((info.index, info.size), (1, expected.len() - 8));
    assert_eq!(batch.wire_len(), HEADER_LEN + expected.len());
}

#[test]
fn the_stamp_and_the_crc_come_at_drain_and_a_retry_is_the_same_bytes() {
    let batch = sealed(&["a", "b"], Compression::None);
    let first = batch.to_bytes(Some(stamp(false)));
    assert_eq!(first, batch.to_bytes(Some(stamp(false))));
    let read = only(first);
    read.verify_crc().unwrap();
    assert_eq!(read.header().stamp(), Some(stamp(false)));
    assert_eq!((read.count(), read.last_offset().to_wire()), (2, 1));
    assert_eq!(
        (read.header().base_timestamp, read.header().max_timestamp),
        (TIME, TIME + 1)
    );

    let other = only(batch.to_bytes(Some(stamp(true))));
    other.verify_crc().unwrap();
    assert!(other.is_transactional());
    let bare = only(batch.to_bytes(None));
    bare.verify_crc().unwrap();
    assert_eq!(bare.header().stamp(), None);
    assert!(!bare.is_transactional());
}

#[test]
fn the_largest_timestamp_counts_even_when_it_is_not_the_last() {
    let mut open = BatchBuilder::default();
    for time in [TIME, TIME + 500, TIME - 10_000_000] {
        open.append(at(time), None, None, HeadersRef::empty())
            .unwrap();
    }
    let batch = only(open.seal(Compression::None).unwrap().0.to_bytes(None));
    assert_eq!(batch.header().max_timestamp, TIME + 500);
    let records = batch.records(DEFAULT_MAX_SIZE).unwrap();
    let times: Vec<_> = records
        .iter()
        .map(|record| record.unwrap().timestamp.unwrap().to_millis())
        .collect();
    assert_eq!(times, [TIME, TIME + 500, TIME - 10_000_000]);
}

#[test]
fn records_of_every_size_come_back_and_stay_below_the_bound_foretold() {
    let mut open = BatchBuilder::default();
    let sizes = [
        0, 1, 62, 63, 64, 8_190, 8_192, 131_071, 131_072, 262_143, 262_144, 1_048_576, 3_000_000,
    ];
    let mut expected = 0;
    for size in sizes {
        for (key, value) in [
            (None, Some(size)),
            (Some(size), Some(7)),
            (Some(size), None),
        ] {
            let (key, value) = (key.map(|n| vec![b'k'; n]), value.map(|n| vec![b'v'; n]));
            let bound =
                BatchBuilder::upper_bound(key.as_deref(), value.as_deref(), HeadersRef::empty());
            let info = open
                .append(
                    at(TIME),
                    key.as_deref(),
                    value.as_deref(),
                    HeadersRef::empty(),
                )
                .unwrap();
            assert!(info.size <= bound, "{} over {bound}", info.size);
            expected += info.size;
        }
    }
    assert_eq!(open.body_len(), expected);
    let batch = only(open.seal(Compression::None).unwrap().0.to_bytes(None));
    let records = batch.records(DEFAULT_MAX_SIZE).unwrap();
    let mut read = records.iter().map(Result::unwrap);
    for size in sizes {
        assert_eq!(read.next().unwrap().value.unwrap(), vec![b'v'; size]);
        assert_eq!(read.next().unwrap().key.unwrap(), vec![b'k'; size]);
        let last = read.next().unwrap();
        assert_eq!((last.key.unwrap().len(), last.value), (size, None));
    }
    assert!(read.next().is_none());
}

#[test]
fn a_buffer_used_again_brings_nothing_of_its_past() {
    let mut buffer = vec![0xaa; 100_000];
    for round in 0..3 {
        let mut open = BatchBuilder::with_buffer(buffer);
        assert!(open.is_empty());
        let value = format!("round {round}");
        open.append(
            at(TIME),
            Some(b""),
            Some(value.as_bytes()),
            HeadersRef::empty(),
        )
        .unwrap();
        let batch = open.seal(Compression::None).unwrap().0;
        let wire = batch.to_bytes(None);
        assert_eq!(values(&only(wire)), [(0, value)]);
        buffer = batch.reclaim().expect("nobody else holds the body");
        assert!(buffer.capacity() >= 100_000);
    }
}

#[test]
fn a_body_that_is_still_shared_is_not_given_back() {
    let batch = sealed(&["a"], Compression::None);
    let shared = batch.body().clone();
    assert!(batch.reclaim().is_none());
    assert!(!shared.is_empty());
}

#[test]
fn a_body_that_compression_would_grow_is_sent_as_it_is() {
    let batch = sealed(&["x"], Compression::GZIP);
    assert_eq!(batch.attributes().codec().unwrap().name(), "none");
    let text = "all work and no play ".repeat(50);
    for compression in [Compression::GZIP, Compression::Snappy, Compression::LZ4] {
        let batch = sealed(&[&text, &text], compression);
        assert_eq!(batch.attributes().codec(), Some(compression.codec()));
        assert!(batch.wire_len() < batch.uncompressed_len());
        let read = only(batch.to_bytes(Some(stamp(false))));
        read.verify_crc().unwrap();
        assert_eq!(values(&read), [(0, text.clone()), (1, text.clone())]);
    }
}

#[test]
fn a_split_batch_keeps_every_record_in_order() {
    let text = "abc".repeat(100);
    for compression in [Compression::None, Compression::LZ4] {
        let batch = sealed(&["1", "2", &text, "4"], compression);
        let (front, back) = batch.split(3, compression).unwrap().unwrap();
        assert_eq!((front.count(), back.count()), (3, 1));
        assert_eq!(values(&only(front.to_bytes(None)))[2], (2, text.clone()));
        assert_eq!(values(&only(back.to_bytes(None))), [(0, "4".to_owned())]);
        assert_eq!(back.max_timestamp(), TIME + 3);
        assert!(batch.split(0, compression).unwrap().is_none());
        assert!(batch.split(4, compression).unwrap().is_none());
    }
}

#[test]
fn a_broker_places_a_batch_without_touching_its_crc() {
    let mut bytes = sealed(&["a", "b"], Compression::None)
        .to_bytes(Some(stamp(false)))
        .to_vec();
    rewrite::assign(
        &mut bytes,
        Offset::from_wire(1_000).unwrap(),
        LeaderEpoch::from_wire(12),
    )
    .unwrap();
    let batch = only(Bytes::from(bytes));
    batch.verify_crc().unwrap();
    assert_eq!(
        values(&batch),
        [(1_000, "a".to_owned()), (1_001, "b".to_owned())]
    );
    assert_eq!(
        (batch.base_offset().to_wire(), batch.next_offset().to_wire()),
        (1_000, 1_002)
    );
    assert_eq!(
        batch
            .header()
            .leader_epoch
            .map(milena_core::LeaderEpoch::to_wire),
        Some(12)
    );
}

#[test]
fn append_time_holds_for_all_records_of_a_batch() {
    let mut bytes = sealed(&["a", "b"], Compression::None)
        .to_bytes(None)
        .to_vec();
    rewrite::stamp_append_time(&mut bytes, at(TIME + 99)).unwrap();
    let batch = only(Bytes::from(bytes));
    batch.verify_crc().unwrap();
    for record in batch.records(DEFAULT_MAX_SIZE).unwrap().iter() {
        let record = record.unwrap();
        assert_eq!(record.timestamp, Some(at(TIME + 99)));
        assert_eq!(record.timestamp_type, TimestampType::LogAppend);
    }
    assert!(rewrite::assign(&mut [0; 70], Offset::ZERO, None).is_err());
}

#[test]
fn a_marker_batch_is_control_and_says_what_it_ends() {
    let producer = (
        ProducerId::from_wire(3).unwrap(),
        ProducerEpoch::from_wire(1).unwrap(),
    );
    for marker in [
        ControlRecord::Abort {
            coordinator_epoch: 5,
        },
        ControlRecord::Commit {
            coordinator_epoch: 6,
        },
    ] {
        let bytes = marker
            .to_batch(Offset::from_wire(44).unwrap(), producer, at(TIME))
            .unwrap();
        let batch = only(bytes);
        batch.verify_crc().unwrap();
        assert!(batch.is_control() && batch.is_transactional());
        assert_eq!(batch.header().base_sequence, None);
        assert_eq!(batch.next_offset().to_wire(), 45);
        let records = batch.records(100).unwrap();
        let record = records.iter().next().unwrap().unwrap();
        assert_eq!(
            ControlRecord::parse(record.key, record.value).unwrap(),
            marker
        );
    }
    assert_eq!(
        ControlRecord::parse(Some(&[0, 0, 0, 3]), None).unwrap(),
        ControlRecord::Other(3)
    );
    assert!(ControlRecord::parse(Some(&[0, 0, 0]), None).is_err());
    assert!(ControlRecord::parse(None, None).is_err());
}

#[test]
fn an_unknown_format_is_a_typed_error_and_ends_the_iteration() {
    let mut bytes = sealed(&["a"], Compression::None).to_bytes(None).to_vec();
    bytes[16] = 3;
    let mut batches = Batches::new(Bytes::from(bytes));
    let error = batches.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("format 3"), "{error}");
    assert!(batches.next().is_none());
}

#[test]
fn a_length_that_lies_is_an_error_or_a_tail() {
    let good = sealed(&["a"], Compression::None).to_bytes(None);
    let with_length = |length: i32| {
        let mut bytes = good.to_vec();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        Batches::new(Bytes::from(bytes)).next()
    };
    for length in [-1, 0, 48] {
        assert_eq!(
            with_length(length).unwrap().unwrap_err().kind(),
            ErrorKind::Decode,
            "{length}"
        );
    }
    assert!(with_length(i32::MAX).is_none(), "it looks cut");
    assert!(BatchHeader::parse(&good[..60]).is_err());
}

#[test]
fn a_record_count_that_lies_reserves_nothing_and_is_an_error() {
    for count in [2i32, i32::MAX] {
        let mut bytes = sealed(&["a"], Compression::None).to_bytes(None).to_vec();
        bytes[57..61].copy_from_slice(&count.to_be_bytes());
        let batch = only(Bytes::from(bytes));
        let records = batch.records(DEFAULT_MAX_SIZE).unwrap();
        let read: Vec<_> = records.iter().collect();
        assert_eq!(read.len(), 2);
        assert!(read[0].is_ok());
        assert_eq!(read[1].as_ref().unwrap_err().kind(), ErrorKind::Decode);
    }
    let mut bytes = sealed(&["a", "b"], Compression::None)
        .to_bytes(None)
        .to_vec();
    bytes[57..61].copy_from_slice(&1i32.to_be_bytes());
    let batch = only(Bytes::from(bytes));
    assert!(
        batch
            .records(DEFAULT_MAX_SIZE)
            .unwrap()
            .iter()
            .nth(1)
            .unwrap()
            .is_err(),
        "bytes are left"
    );
}

#[test]
fn a_body_over_the_cap_is_refused_by_name() {
    let text = "0".repeat(10_000);
    let batch = only(sealed(&[&text], Compression::GZIP).to_bytes(None));
    let error = batch.records(9_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("9000"), "{error}");
}

#[test]
fn records_whose_offsets_do_not_rise_are_refused() {
    let good = sealed(&["a", "b", "c"], Compression::None).to_bytes(None);
    // Each record has 11 bytes. These are length, attributes, time, offset, a key of three bytes, a
    // value of one, and no headers.
    let with_offsets = |offsets: [u8; 3]| {
        let mut bytes = good.to_vec();
        for (at, offset) in offsets.into_iter().enumerate() {
            bytes[HEADER_LEN + at * 11 + 3] = offset * 2;
        }
        let batch = only(Bytes::from(bytes));
        batch.records(DEFAULT_MAX_SIZE).unwrap()
    };
    let read = |records: &Records| {
        let views = records.iter().map(|record| record.is_ok());
        let views: Vec<_> = views.collect();
        let owned: Vec<_> = records.owned().map(|record| record.is_ok()).collect();
        assert_eq!(views, owned);
        views
    };
    assert_eq!(read(&with_offsets([0, 1, 2])), [true, true, true]);
    assert_eq!(read(&with_offsets([1, 0, 2])), [true, false]);
    assert_eq!(read(&with_offsets([0, 2, 2])), [true, true, false]);
    assert_eq!(read(&with_offsets([0, 0, 1])), [true, false]);
    let mut skipping = with_offsets([0, 1, 2]).owned();
    skipping.skip_to(Offset::from_wire(1).unwrap());
    let read: Vec<_> = skipping
        .map(|record| record.unwrap().offset.to_wire())
        .collect();
    assert_eq!(read, [1, 2]);
}
