//! Small batches for the tests of this crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use bytes::Bytes;
use milena_core::{HeadersRef, ProducerEpoch, ProducerId, Sequence, Timestamp};
use milena_protocol::batch::{BatchBuilder, ProducerStamp};
use milena_protocol::compression::Compression;

/// Makes a batch of `count` records without a producer's stamp. Record `i` has the timestamp
/// `1000 + i`.
pub(crate) fn batch(count: u32) -> Bytes {
    build(count, None)
}

/// Makes the same batch as an idempotent producer.
pub(crate) fn stamped(count: u32, id: i64, epoch: i16, sequence: i32) -> Bytes {
    build(count, Some(stamp(id, epoch, sequence, false)))
}

/// Makes the same batch as a transactional producer.
pub(crate) fn transactional(count: u32, id: i64, epoch: i16, sequence: i32) -> Bytes {
    build(count, Some(stamp(id, epoch, sequence, true)))
}

fn stamp(id: i64, epoch: i16, sequence: i32, transactional: bool) -> ProducerStamp {
    ProducerStamp {
        id: ProducerId::from_wire(id).unwrap(),
        epoch: ProducerEpoch::from_wire(epoch).unwrap(),
        sequence: Sequence::from_wire(sequence).unwrap(),
        transactional,
    }
}

fn build(count: u32, stamp: Option<ProducerStamp>) -> Bytes {
    let mut open = BatchBuilder::with_capacity(256);
    for i in 0..count {
        let value = format!("value {i}");
        open.append(
            Timestamp::from_millis(1000 + i64::from(i)),
            Some(b"key"),
            Some(value.as_bytes()),
            HeadersRef::empty(),
        )
        .unwrap();
    }
    open.seal(Compression::None).unwrap().0.to_bytes(stamp)
}
