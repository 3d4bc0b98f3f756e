//! The checks of the records field of a Produce request.

use bytes::Bytes;
use milena_core::{ErrorCode, RecordRef, Timestamp, TimestampType};
use milena_protocol::batch::{Batch, BatchHeader, Batches};
use milena_protocol::compression::{DEFAULT_MAX_SIZE, produced_from};

use crate::log::StoredBatch;
use crate::producers::Stamp;

/// A batch that passed all checks.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    /// The header.
    pub(crate) header: BatchHeader,
    /// The whole batch.
    pub(crate) bytes: Bytes,
    /// The stamp of an idempotent or transactional producer. `None` for others.
    pub(crate) stamp: Option<Stamp>,
    /// The earliest and the latest time of its records, in milliseconds. `None` if they have no
    /// time.
    times: Option<(i64, i64)>,
}

/// A record because of which its whole batch is refused (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// The record's place in the batch, from 0.
    pub(crate) index: i32,
    /// The reason, in the text of real brokers.
    pub(crate) why: String,
}

/// The times that a topic accepts from its producers (`message.timestamp.before.max.ms` and
/// `message.timestamp.after.max.ms`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeWindow {
    /// The earliest accepted time, in milliseconds.
    pub(crate) from: i64,
    /// The latest accepted time, in milliseconds.
    pub(crate) to: i64,
}

impl TimeWindow {
    /// Makes the window around the broker's time.
    pub(crate) fn around(now: i64, (before, after): (i64, i64)) -> Self {
        Self {
            from: now.saturating_sub(before),
            to: now.saturating_add(after),
        }
    }

    /// Returns true if the time is accepted.
    fn takes(self, time: i64) -> bool {
        (self.from..=self.to).contains(&time)
    }
}

impl Checked {
    /// Returns the records without a key, which a compacted topic refuses.
    pub(crate) fn keyless(&self, partition: &str) -> Vec<Rejected> {
        self.rejected(|record| {
            record.key.is_none().then(|| {
                format!(
                    "Compacted topic cannot accept message without key in topic partition {partition}"
                )
            })
        })
    }

    /// Returns the records whose times the topic refuses. `window` is `None` if the broker writes
    /// its own time into the batch.
    pub(crate) fn mistimed(&self, window: Option<TimeWindow>) -> Vec<Rejected> {
        let Some(window) = window else {
            // Brokers refuse a batch that claims LogAppendTime only for topics of that type, where
            // the claim would be believed. Other topics store it as CreateTime.
            if !self.claims_append_time() {
                return Vec::new();
            }
            return self.rejected(|_| {
                let what = "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.";
                Some(what.to_owned())
            });
        };
        let Some((first, last)) = self.times else {
            return Vec::new();
        };
        if window.takes(first) && window.takes(last) {
            return Vec::new();
        }
        self.rejected(|record| {
            let time = record.timestamp?.to_millis();
            (!window.takes(time)).then(|| {
                format!(
                    "Timestamp {time} of message with offset {} is out of range. The timestamp should be within [{}, {}]",
                    record.offset, window.from, window.to
                )
            })
        })
    }

    /// Returns true if the producer claims that a broker set the times.
    pub(crate) fn claims_append_time(&self) -> bool {
        self.header.attributes.timestamp_type() == TimestampType::LogAppend
    }

    /// Returns the records for which `why` gives a reason.
    fn rejected(&self, why: impl Fn(&RecordRef<'_>) -> Option<String>) -> Vec<Rejected> {
        let batch = Batches::new(self.bytes.clone()).find_map(Result::ok);
        let Some(Ok(records)) = batch.map(|batch| batch.records(DEFAULT_MAX_SIZE)) else {
            return Vec::new();
        };
        let each = records.iter().zip(0i32..);
        each.filter_map(|(record, index)| {
            let why = why(&record.ok()?)?;
            Some(Rejected { index, why })
        })
        .collect()
    }

    /// Returns the batch in the form that the log stores.
    pub(crate) fn stored(&self) -> Option<StoredBatch> {
        StoredBatch::split(&self.header, &self.bytes)
    }
}

/// The error code and the text of a refused batch.
pub(crate) type Refusal = (ErrorCode, &'static str);

/// Checks the records field of a Produce request of `version`.
///
/// `each_record` also checks the records. Without it only the header, the counts and the CRC are
/// checked.
pub(crate) fn check(
    records: Option<&Bytes>,
    version: i16,
    max_bytes: usize,
    each_record: bool,
) -> Result<Checked, Refusal> {
    let records = records
        .filter(|records| !records.is_empty())
        .ok_or((ErrorCode::INVALID_RECORD, "the request has no record batch"))?;
    let mut batches = Batches::new(records.clone());
    let batch = match batches.next() {
        Some(Ok(batch)) => batch,
        _ => return Err((ErrorCode::CORRUPT_MESSAGE, "the batch cannot be parsed")),
    };
    if !batches.tail().is_empty() {
        return Err((ErrorCode::INVALID_RECORD, "more than one batch was sent"));
    }
    let header = *batch.header();
    if header.magic != 2 {
        return Err((ErrorCode::INVALID_RECORD, "the batch is not in format 2"));
    }
    if header.size > max_bytes {
        return Err((
            ErrorCode::MESSAGE_TOO_LARGE,
            "the batch is over max.message.bytes",
        ));
    }
    if batch.verify_crc().is_err() {
        return Err((ErrorCode::CORRUPT_MESSAGE, "the CRC is wrong"));
    }
    check_header(&header, version)?;
    let times = match each_record {
        true => check_records(&batch)?,
        false => Some((header.max_timestamp, header.max_timestamp)),
    };
    Ok(Checked {
        stamp: stamp(&header)?,
        times: times.filter(|(first, _)| *first >= 0),
        bytes: batch.bytes().clone(),
        header,
    })
}

/// Checks the fields of the header.
fn check_header(header: &BatchHeader, version: i16) -> Result<(), Refusal> {
    let invalid = |what| Err((ErrorCode::INVALID_RECORD, what));
    if header.base_offset.to_wire() != 0 {
        return invalid("the base offset of a sent batch is not 0");
    }
    if header.attributes.is_control() {
        return invalid("clients may not write control batches");
    }
    if header.count == 0 || header.count != header.last_offset_delta + 1 {
        return invalid("the record count and the last offset delta disagree");
    }
    match header.attributes.codec() {
        None => invalid("the compression type is unknown"),
        Some(codec) if version < produced_from(codec) => Err((
            ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
            "the codec needs a later version of Produce",
        )),
        Some(_) => Ok(()),
    }
}

/// Checks the records one by one. Returns the earliest and the latest time among them.
fn check_records(batch: &Batch) -> Result<Option<(i64, i64)>, Refusal> {
    let invalid = |what| Err((ErrorCode::INVALID_RECORD, what));
    let Ok(records) = batch.records(DEFAULT_MAX_SIZE) else {
        return Err((
            ErrorCode::CORRUPT_MESSAGE,
            "the records cannot be decompressed",
        ));
    };
    let mut expected = batch.base_offset();
    let mut times = None;
    for record in records.iter() {
        let Ok(record) = record else {
            return invalid("a record cannot be decoded");
        };
        if record.offset != expected {
            return invalid("the records' offsets are not one after the other");
        }
        expected = expected.next();
        if let Some(time) = record.timestamp.map(Timestamp::to_millis) {
            let (first, last) = times.unwrap_or((time, time));
            times = Some((first.min(time), last.max(time)));
        }
    }
    if expected != batch.next_offset() {
        return invalid("there are fewer records than the batch says");
    }
    Ok(times)
}

/// Returns the producer's stamp, which must be complete.
fn stamp(header: &BatchHeader) -> Result<Option<Stamp>, Refusal> {
    match Stamp::of(header) {
        None if header.producer_id.is_some() => Err((
            ErrorCode::INVALID_RECORD,
            "a batch with a producer id lacks an epoch or a sequence",
        )),
        stamp => Ok(stamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    fn refused(bytes: &[u8]) -> ErrorCode {
        check(Some(&Bytes::copy_from_slice(bytes)), 9, 1 << 20, true)
            .unwrap_err()
            .0
    }

    #[test]
    fn a_sound_batch_passes_with_its_stamp() {
        let checked = check(Some(&samples::stamped(3, 5, 1, 40)), 9, 1 << 20, true).unwrap();
        let stamp = checked.stamp.unwrap();
        assert_eq!(
            (stamp.id, stamp.epoch, stamp.first, stamp.delta),
            (5, 1, 40, 2)
        );
        assert_eq!(checked.stored().unwrap().size(), checked.bytes.len());
    }

    #[test]
    fn damage_is_refused_by_kind() {
        let good = samples::batch(3);
        let mut crc = good.to_vec();
        *crc.last_mut().unwrap() ^= 1;
        assert_eq!(refused(&crc), ErrorCode::CORRUPT_MESSAGE);
        let mut magic = good.to_vec();
        magic[16] = 3;
        assert_eq!(refused(&magic), ErrorCode::CORRUPT_MESSAGE);
        let mut offset = good.to_vec();
        offset[7] = 1;
        assert_eq!(refused(&offset), ErrorCode::INVALID_RECORD);
        let twice = [&good[..], &good[..]].concat();
        assert_eq!(refused(&twice), ErrorCode::INVALID_RECORD);
        assert_eq!(refused(&good[..good.len() - 1]), ErrorCode::CORRUPT_MESSAGE);
        assert_eq!(refused(&[]), ErrorCode::INVALID_RECORD);
    }

    #[test]
    fn a_batch_over_the_limit_is_too_large() {
        let error = check(Some(&samples::batch(3)), 9, 80, true).unwrap_err();
        assert_eq!(error.0, ErrorCode::MESSAGE_TOO_LARGE);
    }
}
