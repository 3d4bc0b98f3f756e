//! The changes that a broker makes to a batch that it appends. These are the offsets, the epoch,
//! and the timestamps if the broker sets them.

use milena_core::{Error, ErrorKind, LeaderEpoch, Offset, Result, Timestamp};

use super::header::{Attributes, BatchHeader, CRC_START, HEADER_LEN, crc32c};

/// Sets the batch's offset and leader epoch. The CRC does not cover these fields, so it stays
/// right.
///
/// # Errors
/// [`ErrorKind::Decode`] if `batch` is not a whole record batch v2.
pub fn assign(
    batch: &mut [u8],
    base_offset: Offset,
    leader_epoch: Option<LeaderEpoch>,
) -> Result<()> {
    whole(batch)?;
    set(batch, 0, base_offset.to_wire().to_be_bytes());
    set(
        batch,
        12,
        leader_epoch.map_or(-1, LeaderEpoch::to_wire).to_be_bytes(),
    );
    Ok(())
}

/// Renews the CRC over the bytes of `batch` behind it. For tests that change a batch by hand.
pub fn renew_crc(batch: &mut [u8]) {
    let crc = crc32c(batch.get(CRC_START..).unwrap_or_default(), &[]);
    set(batch, 17, crc.to_be_bytes());
}

/// Sets the append time as every record's timestamp and renews the CRC
/// (`message.timestamp.type=LogAppendTime`).
///
/// # Errors
/// [`ErrorKind::Decode`] if `batch` is not a whole record batch v2.
pub fn stamp_append_time(batch: &mut [u8], time: Timestamp) -> Result<()> {
    let header = whole(batch)?;
    let attributes: Attributes = header.attributes.log_append(true);
    set(batch, CRC_START, attributes.to_wire().to_be_bytes());
    set(batch, 35, time.to_millis().to_be_bytes());
    let covered = batch.get(CRC_START..header.size).unwrap_or_default();
    let crc = crc32c(covered, &[]);
    set(batch, 17, crc.to_be_bytes());
    Ok(())
}

/// Marks the timestamps of the records as set by their producer and renews the CRC
/// (`message.timestamp.type=CreateTime`).
///
/// # Errors
/// [`ErrorKind::Decode`] if `batch` is not a whole record batch v2.
pub fn keep_create_time(batch: &mut [u8]) -> Result<()> {
    let header = whole(batch)?;
    let attributes: Attributes = header.attributes.log_append(false);
    set(batch, CRC_START, attributes.to_wire().to_be_bytes());
    let covered = batch.get(CRC_START..header.size).unwrap_or_default();
    let crc = crc32c(covered, &[]);
    set(batch, 17, crc.to_be_bytes());
    Ok(())
}

/// Reads the header of `batch`, and checks that the whole batch is there.
fn whole(batch: &[u8]) -> Result<BatchHeader> {
    let header = BatchHeader::parse(batch)?;
    if batch.len() < header.size.max(HEADER_LEN) {
        return Err(Error::new(ErrorKind::Decode, "a record batch is cut short"));
    }
    Ok(header)
}

/// Writes `bytes` at index `at`.
fn set<const N: usize>(batch: &mut [u8], at: usize, bytes: [u8; N]) {
    if let Some(place) = batch
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut::<N>())
    {
        *place = bytes;
    }
}
