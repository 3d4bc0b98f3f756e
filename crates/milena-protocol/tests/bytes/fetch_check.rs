//! Checksums of a Fetch answer that arrives in pieces. What is found right must not depend on the
//! pieces, and must never be wrong.

use bytes::Bytes;
use kafka::protocol::{Encodable, StrBytes};
use milena_core::{HeadersRef, Timestamp};
use milena_protocol::batch::{BatchBuilder, Batches};
use milena_protocol::compression::Compression;
use milena_protocol::fetch::{FetchCheck, Intact, decode_checked};
use milena_protocol::kafka;
use milena_protocol::messages::fetch_response::{
    AbortedTransaction, FetchableTopicResponse, PartitionData,
};
use milena_protocol::messages::{FetchResponse, TopicName};
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

fn batch(len: usize) -> Vec<u8> {
    let mut open = BatchBuilder::default();
    let (time, value) = (Timestamp::from_millis(1), vec![7; len]);
    open.append(time, None, Some(&value), HeadersRef::empty())
        .unwrap();
    open.seal(Compression::None)
        .unwrap()
        .0
        .to_bytes(None)
        .to_vec()
}

fn partition(index: i32, records: Option<Vec<u8>>, version: i16, aborted: usize) -> PartitionData {
    let mut data = PartitionData::default();
    data.partition_index = index;
    data.high_watermark = 100;
    if version >= 5 {
        data.log_start_offset = 3;
    }
    data.aborted_transactions = Some(vec![AbortedTransaction::default(); aborted]);
    data.records = records.map(Bytes::from);
    data
}

fn answer(topics: Vec<Vec<PartitionData>>, version: i16) -> Vec<u8> {
    let mut answer = FetchResponse::default();
    for (at, partitions) in (0u8..).zip(topics) {
        let mut topic = FetchableTopicResponse::default();
        if version >= 13 {
            topic.topic_id = Uuid::from_bytes([at + 1; 16]);
        } else {
            topic.topic = TopicName(StrBytes::from_string(format!("topic {at}")));
        }
        topic.partitions = partitions;
        answer.responses.push(topic);
    }
    let mut body = Vec::new();
    answer.encode(&mut body, version).unwrap();
    body
}

/// Returns an answer with whole batches, a cut one, no records, null records and many aborted
/// transactions, in two topics with partitions and one without.
fn mixed(version: i16) -> Vec<u8> {
    let cut = batch(300)[..200].to_vec();
    answer(
        vec![
            vec![
                partition(0, Some([batch(10), batch(2_000), cut].concat()), version, 2),
                partition(1, Some(Vec::new()), version, 0),
            ],
            vec![],
            vec![
                partition(0, None, version, 0),
                partition(3, Some(batch(5)), version, 300),
                partition(4, Some([batch(900), batch(1)].concat()), version, 0),
            ],
        ],
        version,
    )
}

/// Returns what is found right if the body arrives up to each of `stops` in turn, then whole.
fn looked(body: &[u8], version: i16, stops: impl IntoIterator<Item = usize>) -> Intact {
    let mut check = FetchCheck::new(version);
    for stop in stops {
        check.look(&body[..stop]);
    }
    check.look(body);
    check.take()
}

/// Returns the number of bytes found right for each partition, after a check that every batch in
/// them is right.
fn found(body: &[u8], version: i16, intact: &Intact) -> Vec<usize> {
    let body = Bytes::copy_from_slice(body);
    let Ok(answer) = decode_checked(&body, version, intact) else {
        return Vec::new();
    };
    let check = |records: &Bytes, intact: usize| {
        let mut read = 0;
        for batch in Batches::new(records.clone()) {
            if read == intact {
                break;
            }
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            read += batch.bytes().len();
        }
        assert_eq!(read, intact, "the bytes end with a batch");
        intact
    };
    let entries = answer.partitions.iter();
    entries
        .map(|entry| check(&entry.records, entry.intact))
        .collect()
}

#[test]
fn all_whole_batches_of_every_version_are_found_right() {
    for version in 4..=17 {
        let body = mixed(version);
        let whole = batch(10).len() + batch(2_000).len();
        let last = batch(900).len() + batch(1).len();
        let expected = [whole, 0, 0, batch(5).len(), last];
        let intact = looked(&body, version, []);
        assert_eq!(found(&body, version, &intact), expected, "v{version}");
    }
}

#[test]
fn an_answer_cut_anywhere_gives_the_same_as_the_whole() {
    for version in [4, 11, 12, 17] {
        let body = mixed(version);
        let whole = looked(&body, version, []);
        for at in 0..body.len() {
            assert_eq!(looked(&body, version, [at]), whole, "v{version} at {at}");
        }
        assert_eq!(looked(&body, version, 0..body.len()), whole, "v{version}");
    }
}

#[test]
fn a_flipped_bit_is_never_found_right_and_hides_no_other_partition() {
    let version = 17;
    let (first, second) = (batch(40), batch(50));
    let parts = |records: Vec<u8>| {
        answer(
            vec![vec![
                partition(0, Some(records), version, 0),
                partition(1, Some(batch(60)), version, 0),
            ]],
            version,
        )
    };
    let records = [first.clone(), second].concat();
    for bit in 0..records.len() * 8 {
        let mut damaged = records.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let body = parts(damaged);
        let intact = looked(&body, version, [100, 200]);
        // The checksum covers neither the base offset nor the leader's epoch behind the length.
        let covered = |at: usize| (8..12).contains(&at) || at >= 16;
        let at = bit / 8;
        let expected = match at.checked_sub(first.len()) {
            None if covered(at) => 0,
            Some(at) if covered(at) => first.len(),
            // A negative base offset is refused.
            None if bit == 7 => 0,
            Some(0) if bit % 8 == 7 => first.len(),
            _ => records.len(),
        };
        let found = found(&body, version, &intact);
        assert_eq!(found, [expected, batch(60).len()], "bit {bit}");
    }
}

#[test]
fn lengths_and_counts_from_a_hostile_peer_end_the_walk() {
    let version = 4;
    let honest = answer(
        vec![vec![partition(0, Some(batch(9)), version, 1)]],
        version,
    );
    for at in 0..honest.len() - 3 {
        for raw in [i32::MAX, i32::MIN, -1, 0, 1, 1 << 24] {
            let mut body = honest.clone();
            body[at..at + 4].copy_from_slice(&raw.to_be_bytes());
            let intact = looked(&body, version, [at, at + 1, at + 4]);
            found(&body, version, &intact);
        }
    }
}

#[test]
fn a_version_that_is_not_known_is_not_looked_at() {
    let body = mixed(17);
    for version in [-1, 0, 3, 18] {
        assert_eq!(looked(&body, version, []), Intact::default());
    }
}

proptest! {
    #[test]
    fn any_slicing_of_a_changed_answer_gives_what_the_whole_gives(
        version in 4i16..=17,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        stops in vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let mut body = mixed(version);
        for (at, value) in changes {
            let at = at.index(body.len());
            body[at] = value;
        }
        let mut stops: Vec<_> = stops.iter().map(|stop| stop.index(body.len())).collect();
        stops.sort_unstable();
        let intact = looked(&body, version, stops);
        prop_assert_eq!(&intact, &looked(&body, version, []));
        found(&body, version, &intact);
    }

    #[test]
    fn any_bytes_looked_at_never_panic(body in vec(any::<u8>(), 0..300), version in 3i16..19, stop in 0usize..300) {
        let stop = stop.min(body.len());
        let intact = looked(&body, version, [stop]);
        found(&body, version, &intact);
    }
}
