//! lz4 frames: written as independent 64 KiB blocks without checksums, the form that Kafka reads; read in every form.

mod frame;

use std::cell::RefCell;

use bytes::Bytes;
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use milena_core::{Error, ErrorKind, Result};

use frame::{PLAIN, header_checksum};

pub(super) use frame::decompress;

/// Magic number, version 1 with blocks that do not depend on each other (Kafka's own reader refuses others), 64 KiB a block, checksum.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const BLOCK: usize = 64 << 10;

/// A table of matches, and room for one compressed block.
struct Bench {
    table: CompressTable,
    room: Vec<u8>,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench {
        table: CompressTable::large(),
        room: vec![0; get_maximum_output_size(BLOCK)],
    });
}

pub(super) fn compress(body: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len() / 2 + 64);
    out.extend_from_slice(&HEADER);
    BENCH.with_borrow_mut(|bench| {
        for block in body.chunks(BLOCK) {
            let len = compress_into_with_table(block, &mut bench.room, &mut bench.table).map_err(
                |cause| Error::new(ErrorKind::Config, format!("lz4 refused the body: {cause}")),
            )?;
            match bench.room.get(..len).filter(|_| len < block.len()) {
                Some(packed) => {
                    out.extend_from_slice(&(len as u32).to_le_bytes());
                    out.extend_from_slice(packed);
                }
                None => {
                    out.extend_from_slice(&(block.len() as u32 | PLAIN).to_le_bytes());
                    out.extend_from_slice(block);
                }
            }
        }
        // A block of no bytes ends the frame.
        out.extend_from_slice(&[0; 4]);
        Ok(out)
    })
}

/// Decompresses a frame of message format v0, whose header checksum Kafka computed over the magic
/// number too (KAFKA-3160): the checksum is put right before the frame is read.
pub(super) fn decompress_v0(body: &[u8], max_size: usize) -> Result<Bytes> {
    match decompress(body, max_size) {
        Err(_) if header_end(body).is_some() => decompress(&mended(body), max_size),
        other => other,
    }
}

/// Where the header checksum of a frame lies.
fn header_end(body: &[u8]) -> Option<usize> {
    let [0x04, 0x22, 0x4d, 0x18, flags, _, ..] = body else {
        return None;
    };
    let content_size = if flags & 0x08 == 0 { 0 } else { 8 };
    let dictionary = if flags & 0x01 == 0 { 0 } else { 4 };
    let end = 6 + content_size + dictionary;
    (end < body.len()).then_some(end)
}

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
