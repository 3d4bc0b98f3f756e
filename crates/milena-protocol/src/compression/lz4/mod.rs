//! lz4 frames. They are written as independent 64 KiB blocks without checksums, the form that Kafka
//! reads. Every form is read.

mod frame;

use std::cell::RefCell;

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use milena_core::{Error, ErrorKind, Result};

use frame::{PLAIN, header_checksum};

use super::Codec;
use super::output::Output;

pub(super) use frame::decompress;

/// The header of the frames. It has the magic number, version 1 with blocks that do not depend on
/// each other (Kafka's own reader refuses others), blocks of 64 KiB, and the header checksum.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// The bytes of a block before compression.
const BLOCK: usize = 64 << 10;

thread_local! {
    /// The table of matches, which is slow to create.
    static TABLE: RefCell<CompressTable> = RefCell::new(CompressTable::large());
}

/// Compresses `body` to one frame. A block that does not become smaller is stored uncompressed.
pub(super) fn compress(body: &[u8]) -> Result<Output> {
    let blocks = body.len() / BLOCK + 1;
    let most = get_maximum_output_size(body.len()) + 32 * blocks;
    let mut out = Output::new(Codec::Lz4, most, usize::MAX);
    out.put(&HEADER)?;
    TABLE.with_borrow_mut(|table| {
        for block in body.chunks(BLOCK) {
            let room = out.room(4 + get_maximum_output_size(block.len()));
            let (size, room) = room.split_at_mut_checked(4).unwrap_or_default();
            let packed = compress_into_with_table(block, room, table).map_err(|cause| {
                Error::new(ErrorKind::Config, format!("lz4 refused the body: {cause}"))
            })?;
            let (len, mark) = match room.get_mut(..block.len()) {
                Some(room) if packed >= block.len() => {
                    room.copy_from_slice(block);
                    (block.len(), PLAIN)
                }
                _ => (packed, 0),
            };
            size.copy_from_slice(&(len as u32 | mark).to_le_bytes());
            out.advance(4 + len)?;
        }
        // A block of no bytes ends the frame.
        out.put(&[0; 4])?;
        Ok(out)
    })
}

/// Decompresses a frame of message format v0.
///
/// Kafka computed its header checksum over the magic number too (KAFKA-3160). The checksum is
/// corrected before the frame is read.
pub(super) fn decompress_v0(body: &[u8], max_size: usize) -> Result<Bytes> {
    match decompress(body, max_size) {
        Err(_) if header_end(body).is_some() => decompress(&mended(body), max_size),
        other => other,
    }
}

/// Returns the index of a frame's header checksum.
fn header_end(body: &[u8]) -> Option<usize> {
    let [0x04, 0x22, 0x4d, 0x18, flags, _, ..] = body else {
        return None;
    };
    let content_size = if flags & 0x08 == 0 { 0 } else { 8 };
    let dictionary = if flags & 0x01 == 0 { 0 } else { 4 };
    let end = 6 + content_size + dictionary;
    (end < body.len()).then_some(end)
}

/// Returns the frame with a correct header checksum.
fn mended(body: &[u8]) -> Vec<u8> {
    let mut fixed = body.to_vec();
    if let Some(end) = header_end(body) {
        let descriptor = body.get(4..end).unwrap_or_default();
        if let Some(checksum) = fixed.get_mut(end) {
            *checksum = header_checksum(descriptor);
        }
    }
    fixed
}

#[cfg(test)]
mod tests;
