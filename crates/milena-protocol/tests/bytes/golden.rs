//! Record data that other writers made (see `tests/golden/README.md`), read by milena and compared
//! field by field.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use milena_core::TimestampType;
use milena_protocol::batch::{Batch, Batches, ControlRecord, HEADER_LEN, Records};
use milena_protocol::compression::{Codec, DEFAULT_MAX_SIZE};
use serde_json::Value;

fn cases() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .strip_suffix(".json")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    assert!(names.len() >= 26, "{names:?}");
    names
}

fn load(name: &str) -> (Bytes, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bytes = fs::read(folder.join(format!("{name}.bin"))).unwrap();
    let text = fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
    (Bytes::from(bytes), serde_json::from_str(&text).unwrap())
}

/// Returns true if this build can read the case, since zstd is a feature.
fn readable(name: &str) -> bool {
    cfg!(feature = "zstd") || !name.contains("zstd")
}

fn octets(value: &Value) -> Option<Vec<u8>> {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    };
    match value {
        Value::Null => None,
        Value::String(text) => Some(hex(text)),
        pattern => {
            let times = pattern["times"].as_u64().unwrap() as usize;
            Some(hex(pattern["repeat"].as_str().unwrap()).repeat(times))
        }
    }
}

#[test]
fn every_batch_has_the_header_that_its_writer_described() {
    for name in cases() {
        let (bytes, described) = load(&name);
        let mut batches = Batches::new(bytes);
        for (at, expected) in described["batches"].as_array().unwrap().iter().enumerate() {
            let batch = batches.next().unwrap().unwrap();
            check_header(&batch, expected, &format!("{name}, batch {at}"));
        }
        assert!(batches.next().is_none(), "{name}");
        assert!(batches.tail().is_empty(), "{name}");
    }
}

fn check_header(batch: &Batch, expected: &Value, place: &str) {
    let header = batch.header();
    let number = |key: &str| expected[key].as_i64();
    batch.verify_crc().unwrap();
    assert_eq!(Some(i64::from(header.magic)), number("magic"), "{place}");
    assert_eq!(Some(header.size as i64), number("size"), "{place}");
    assert_eq!(batch.bytes().len(), header.size, "{place}");
    assert_eq!(
        header.attributes.codec().unwrap().name(),
        expected["codec"].as_str().unwrap(),
        "{place}"
    );
    assert_eq!(
        Some(batch.last_offset().to_wire()),
        number("last_offset"),
        "{place}"
    );
    assert_eq!(
        Some(header.max_timestamp),
        number("max_timestamp"),
        "{place}"
    );
    let log_append = expected["timestamp_type"] == "LogAppendTime";
    assert_eq!(
        header.attributes.timestamp_type() == TimestampType::LogAppend,
        log_append,
        "{place}"
    );
    if header.magic < 2 {
        return;
    }
    let none = |raw: Option<i64>| raw.unwrap_or(-1);
    assert_eq!(
        Some(header.base_offset.to_wire()),
        number("base_offset"),
        "{place}"
    );
    assert_eq!(
        Some(header.base_timestamp),
        number("base_timestamp"),
        "{place}"
    );
    assert_eq!(Some(i64::from(header.crc)), number("crc"), "{place}");
    assert_eq!(
        Some(none(
            header.leader_epoch.map(|epoch| epoch.to_wire().into())
        )),
        number("leader_epoch"),
        "{place}"
    );
    assert_eq!(
        Some(none(
            header.producer_id.map(milena_core::ProducerId::to_wire)
        )),
        number("producer_id"),
        "{place}"
    );
    assert_eq!(
        Some(none(header.producer_epoch.map(|e| e.to_wire().into()))),
        number("producer_epoch"),
        "{place}"
    );
    assert_eq!(
        Some(none(header.base_sequence.map(|s| s.to_wire().into()))),
        number("base_sequence"),
        "{place}"
    );
    assert_eq!(
        Some(batch.is_transactional()),
        expected["transactional"].as_bool(),
        "{place}"
    );
    assert_eq!(
        Some(batch.is_control()),
        expected["control"].as_bool(),
        "{place}"
    );
    assert_eq!(Some(i64::from(header.count)), number("count"), "{place}");
    assert_eq!(
        header.attributes.has_delete_horizon(),
        expected.get("delete_horizon").is_some_and(|v| !v.is_null()),
        "{place}"
    );
}

#[test]
fn every_record_is_the_one_that_its_writer_described() {
    for name in cases().into_iter().filter(|name| readable(name)) {
        let (bytes, described) = load(&name);
        for (at, (batch, expected)) in Batches::new(bytes)
            .zip(described["batches"].as_array().unwrap())
            .enumerate()
        {
            let batch = batch.unwrap();
            let records = batch.records(DEFAULT_MAX_SIZE).unwrap();
            check_records(
                &records,
                expected,
                batch.is_control(),
                &format!("{name}, batch {at}"),
            );
        }
    }
}

fn check_records(records: &Records, expected: &Value, control: bool, place: &str) {
    let list = expected["records"].as_array().unwrap();
    if let Some(base) = expected["base_offset"].as_i64() {
        assert_eq!(records.header().base_offset.to_wire(), base, "{place}");
    }
    assert_eq!(records.iter().count(), list.len(), "{place}");
    assert_eq!(records.owned().count(), list.len(), "{place}");
    for ((view, owned), expected) in records.iter().zip(records.owned()).zip(list) {
        let (view, owned) = (view.unwrap(), owned.unwrap());
        assert_eq!(
            Some(view.offset.to_wire()),
            expected["offset"].as_i64(),
            "{place}"
        );
        let timestamp = view.timestamp.map_or(-1, milena_core::Timestamp::to_millis);
        assert_eq!(Some(timestamp), expected["timestamp"].as_i64(), "{place}");
        assert_eq!(view.key, octets(&expected["key"]).as_deref(), "{place}");
        assert_eq!(view.value, octets(&expected["value"]).as_deref(), "{place}");
        let headers: Vec<_> = view
            .headers
            .iter()
            .map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec)))
            .collect();
        let expected_headers: Vec<_> = expected["headers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pair| (octets(&pair[0]).unwrap(), octets(&pair[1])))
            .collect();
        assert_eq!(headers, expected_headers, "{place}");
        assert_eq!(
            (owned.offset, owned.timestamp),
            (view.offset, view.timestamp),
            "{place}"
        );
        assert_eq!(owned.key.as_deref(), view.key, "{place}");
        assert_eq!(owned.value.as_deref(), view.value, "{place}");
        assert!(owned.headers.iter().eq(view.headers.iter()), "{place}");
        if control {
            let marker = ControlRecord::parse(view.key, view.value).unwrap();
            let kind = match marker {
                ControlRecord::Commit { .. } => "commit",
                ControlRecord::Abort { .. } => "abort",
                _ => "other",
            };
            assert_eq!(Some(kind), expected["control"].as_str(), "{place}");
        }
    }
}

#[test]
fn a_field_cut_at_any_byte_gives_the_whole_batches_before_the_cut_and_no_error() {
    for name in cases() {
        let (bytes, _) = load(&name);
        let ends: Vec<usize> = Batches::new(bytes.clone())
            .scan(0, |end, batch| {
                *end += batch.unwrap().bytes().len();
                Some(*end)
            })
            .collect();
        let step = (bytes.len() / 300).max(1);
        for cut in (0..bytes.len()).step_by(step) {
            let mut batches = Batches::new(bytes.slice(..cut));
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let read = batches.by_ref().map(Result::unwrap).count();
            assert_eq!(read, whole, "{name} cut at {cut}");
            let start = if whole == 0 { 0 } else { ends[whole - 1] };
            assert_eq!(batches.tail().len(), cut - start, "{name} cut at {cut}");
            if cut - start >= 12 {
                assert_eq!(
                    batches.tail_needs(),
                    Some(ends[whole] - start),
                    "{name} cut at {cut}"
                );
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_never_read_as_a_good_batch() {
    for name in cases() {
        let (bytes, _) = load(&name);
        let first = Batches::new(bytes.clone()).next().unwrap().unwrap();
        let start = if first.header().magic == 2 { 21 } else { 16 };
        let step = (first.bytes().len() / 60).max(1);
        for at in (start..first.bytes().len()).step_by(step) {
            let mut changed = first.bytes().to_vec();
            changed[at] ^= 0x10;
            let Some(Ok(batch)) = Batches::new(Bytes::from(changed)).next() else {
                continue;
            };
            assert!(batch.verify_crc().is_err(), "{name}, byte {at}");
        }
    }
}

#[test]
fn a_changed_body_is_an_error_or_records_but_never_a_panic() {
    for name in cases().into_iter().filter(|name| readable(name)) {
        let (bytes, _) = load(&name);
        let first = Batches::new(bytes.clone()).next().unwrap().unwrap();
        let step = (first.bytes().len() / 60).max(1);
        for at in (0..first.bytes().len()).step_by(step) {
            for mask in [0x01, 0xff] {
                let mut changed = first.bytes().to_vec();
                changed[at] ^= mask;
                for batch in Batches::new(Bytes::from(changed)).map_while(Result::ok) {
                    let Ok(records) = batch.records(1 << 20) else {
                        continue;
                    };
                    let _ = records
                        .iter()
                        .map_while(Result::ok)
                        .filter(|r| r.headers.iter().count() > 0)
                        .count();
                }
            }
        }
    }
}

#[test]
fn an_empty_batch_that_compaction_left_still_moves_the_position() {
    let (bytes, _) = load("java-compacted");
    let empty = Batches::new(bytes)
        .map(Result::unwrap)
        .find(|batch| batch.count() == 0)
        .unwrap();
    assert!(empty.next_offset() > empty.base_offset());
    assert_eq!(empty.records(DEFAULT_MAX_SIZE).unwrap().iter().count(), 0);
    assert_eq!(empty.bytes().len(), HEADER_LEN);
}

#[test]
fn snappy_is_read_in_both_of_its_forms() {
    for (name, framed) in [
        ("java-snappy", true),
        ("kafka-python-snappy", true),
        ("librdkafka-snappy", false),
    ] {
        let (bytes, _) = load(name);
        let batch = Batches::new(bytes).next().unwrap().unwrap();
        assert_eq!(
            batch.header().attributes.codec(),
            Some(Codec::Snappy),
            "{name}"
        );
        let body = batch.bytes().slice(HEADER_LEN..);
        assert_eq!(body.starts_with(b"\x82SNAPPY\0"), framed, "{name}");
    }
}
