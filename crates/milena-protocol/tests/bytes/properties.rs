//! Properties of the codecs. Decoding returns what was encoded, and no bytes make a reader panic.

use bytes::Bytes;
use milena_core::{HeadersRef, ProducerEpoch, ProducerId, RecordHeader, Sequence, Timestamp};
use milena_protocol::batch::{BatchBuilder, Batches, ProducerStamp};
use milena_protocol::compression::{self, Codec, Compression, decompress};
use milena_protocol::request::RequestHeader;
use milena_protocol::{ApiKey, api_versions, fetch, guard, produce};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

type Octets = Vec<u8>;

#[derive(Clone, Debug)]
struct Written {
    timestamp: i64,
    key: Option<Octets>,
    value: Option<Octets>,
    headers: Vec<(Octets, Option<Octets>)>,
}

fn octets() -> impl Strategy<Value = Octets> {
    prop_oneof![8 => vec(any::<u8>(), 0..80), 1 => vec(any::<u8>(), 8_100..8_300)]
}

fn written() -> impl Strategy<Value = Written> {
    let timestamp = prop_oneof![4 => 1_700_000_000_000i64..1_700_000_100_000, 1 => 0..=i64::MAX];
    let header = (
        "[ab]{0,2}".prop_map(String::into_bytes),
        option::of(octets()),
    );
    (
        timestamp,
        option::of(octets()),
        option::of(octets()),
        vec(header, 0..4),
    )
        .prop_map(|(timestamp, key, value, headers)| Written {
            timestamp,
            key,
            value,
            headers,
        })
}

fn compression() -> impl Strategy<Value = Compression> {
    let built = |compression: &Compression| compression::check(*compression).is_ok();
    let codecs = Compression::ALL.into_iter().chain([Compression::Gzip(1)]);
    prop::sample::select(codecs.filter(built).collect::<Vec<_>>())
}

fn stamp() -> Option<ProducerStamp> {
    Some(ProducerStamp {
        id: ProducerId::from_wire(1)?,
        epoch: ProducerEpoch::from_wire(0)?,
        sequence: Sequence::from_wire(0)?,
        transactional: false,
    })
}

fn build(records: &[Written], compression: Compression) -> Bytes {
    let mut open = BatchBuilder::default();
    for record in records {
        let headers: Vec<RecordHeader> = record
            .headers
            .iter()
            .map(|(key, value)| RecordHeader {
                key: key.clone().into(),
                value: value.clone().map(Bytes::from),
            })
            .collect();
        let time = Timestamp::from_millis(record.timestamp);
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        let bound = BatchBuilder::upper_bound(key, value, HeadersRef::list(&headers));
        let info = open
            .append(time, key, value, HeadersRef::list(&headers))
            .unwrap();
        assert!(info.size <= bound);
    }
    open.seal(compression).unwrap().0.to_bytes(stamp())
}

/// Reads all batches that can be read, and ends.
fn read_all(bytes: Bytes) {
    for batch in Batches::new(bytes) {
        let Ok(batch) = batch else { continue };
        let _ = batch.verify_crc();
        let Ok(records) = batch.records(1 << 20) else {
            continue;
        };
        let views = records
            .iter()
            .map_while(Result::ok)
            .map(|r| r.headers.iter().count())
            .sum::<usize>();
        let owned = records
            .owned()
            .map_while(Result::ok)
            .map(|r| r.headers.iter().count())
            .sum::<usize>();
        assert_eq!(views, owned);
    }
}

proptest! {
    #[test]
    fn records_come_back_as_they_were_written(records in vec(written(), 1..12), compression in compression()) {
        let mut batches = Batches::new(build(&records, compression));
        let batch = batches.next().unwrap().unwrap();
        prop_assert!(batches.next().is_none());
        batch.verify_crc().unwrap();
        prop_assert_eq!(batch.count() as usize, records.len());
        prop_assert_eq!(batch.header().max_timestamp, records.iter().map(|r| r.timestamp).max().unwrap());
        let body = batch.records(1 << 24).unwrap();
        prop_assert_eq!(body.iter().count(), records.len());
        for ((read, expected), offset) in body.iter().zip(&records).zip(0..) {
            let read = read.unwrap();
            prop_assert_eq!(read.offset.to_wire(), offset);
            prop_assert_eq!(read.timestamp, Some(Timestamp::from_millis(expected.timestamp)));
            prop_assert_eq!(read.key, expected.key.as_deref());
            prop_assert_eq!(read.value, expected.value.as_deref());
            let headers: Vec<_> = read.headers.iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(&headers, &expected.headers);
        }
    }

    #[test]
    fn headers_that_are_read_can_be_written_on_as_they_lie(records in vec(written(), 1..6)) {
        let first = build(&records, Compression::None);
        let batch = Batches::new(first.clone()).next().unwrap().unwrap();
        let mut open = BatchBuilder::default();
        let body = batch.records(1 << 24).unwrap();
        for record in &body {
            let record = record.unwrap();
            open.append(record.timestamp.unwrap(), record.key, record.value, record.headers).unwrap();
        }
        prop_assert_eq!(open.seal(Compression::None).unwrap().0.to_bytes(stamp()), first);
    }

    #[test]
    fn a_changed_batch_never_panics(
        records in vec(written(), 1..6),
        compression in compression(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = build(&records, compression).to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_all(Bytes::from(bytes.clone()));
        bytes.truncate(cut.index(bytes.len()));
        read_all(Bytes::from(bytes));
    }

    #[test]
    fn any_bytes_read_as_batches_never_panic(mut bytes in vec(any::<u8>(), 0..300), magic in 0u8..4, length in 0i32..300) {
        read_all(Bytes::from(bytes.clone()));
        if bytes.len() > 17 {
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = magic;
            read_all(Bytes::from(bytes));
        }
    }

    #[test]
    fn any_bytes_decompressed_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        for codec in Codec::ALL {
            let _ = decompress(codec, &bytes, 1 << 16);
        }
    }

    #[test]
    fn any_bytes_read_as_messages_never_panic(bytes in vec(any::<u8>(), 0..200), version in -1i16..20) {
        let bytes = Bytes::from(bytes);
        let _ = api_versions::decode_response(&bytes, version);
        let _ = produce::decode_response(&bytes, version);
        let _ = fetch::decode_response(&bytes, version);
        let _ = RequestHeader::split(&bytes);
        for api in ApiKey::ALL.iter().copied().filter(|api| api.known().contains(version)) {
            let _ = guard::check_request(api, version, &bytes);
            let _ = guard::check_response(api, version, &bytes);
        }
    }
}

#[cfg(all(feature = "client", feature = "broker"))]
mod beside_kafka_protocol {
    use super::*;
    use milena_protocol::kafka::protocol::StrBytes;
    use milena_protocol::kafka::records as theirs;

    fn their_record(index: usize, record: &Written) -> theirs::Record {
        let headers = record.headers.iter().map(|(key, value)| {
            let key = StrBytes::from_string(String::from_utf8(key.clone()).unwrap());
            (key, value.clone().map(Bytes::from))
        });
        theirs::Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: 1,
            producer_epoch: 0,
            timestamp_type: theirs::TimestampType::Creation,
            offset: i64::try_from(index).unwrap(),
            sequence: i32::try_from(index).unwrap(),
            timestamp: record.timestamp,
            key: record.key.clone().map(Bytes::from),
            value: record.value.clone().map(Bytes::from),
            headers: headers.collect(),
        }
    }

    fn has_no_duplicate(record: &Written) -> bool {
        let mut keys: Vec<_> = record.headers.iter().map(|(key, _)| key).collect();
        keys.sort();
        keys.windows(2).all(|pair| pair[0] != pair[1])
    }

    proptest! {
        // `kafka-protocol` holds headers in a map, and takes the smallest timestamp as the base.
        // The records avoid both differences.
        #[test]
        fn the_bytes_are_those_that_kafka_protocol_writes(mut records in vec(written(), 1..12)) {
            records.retain(has_no_duplicate);
            records.sort_by_key(|record| record.timestamp);
            prop_assume!(!records.is_empty());
            let list: Vec<_> = records.iter().enumerate().map(|(i, record)| their_record(i, record)).collect();
            let options = theirs::RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
            let mut bytes = bytes::BytesMut::new();
            theirs::RecordBatchEncoder::encode(&mut bytes, list.iter(), &options).unwrap();
            prop_assert_eq!(bytes.freeze(), build(&records, Compression::None));
        }
    }
}
