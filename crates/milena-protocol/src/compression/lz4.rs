//! lz4 frames of independent 64 KiB blocks without content checksum: the form that Kafka reads.

use std::io::Write;

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use milena_core::{Error, ErrorKind, Result};

use super::{Codec, corrupt, read_capped};

pub(super) fn compress(body: &[u8]) -> Result<Vec<u8>> {
    let refused = |cause: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Config, format!("lz4 refused the body: {cause}"))
    };
    // Kafka's own reader refuses frames whose blocks depend on each other.
    let info = FrameInfo::new()
        .block_size(BlockSize::Max64KB)
        .block_mode(BlockMode::Independent);
    let out = Vec::with_capacity(body.len() / 2 + 64);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(body).map_err(|cause| refused(&cause))?;
    encoder.finish().map_err(|cause| refused(&cause))
}

pub(super) fn decompress(body: &[u8], max_size: usize) -> Result<Vec<u8>> {
    let out = read_capped(
        Codec::Lz4,
        FrameDecoder::new(body),
        body.len().saturating_mul(3),
        max_size,
    )?;
    if out.is_empty() && body.is_empty() {
        return Err(corrupt(Codec::Lz4, "it is empty"));
    }
    Ok(out)
}

/// Decompresses a frame of message format v0, whose header checksum Kafka computed over the magic
/// number too (KAFKA-3160): the checksum is put right before the frame is read.
pub(super) fn decompress_v0(body: &[u8], max_size: usize) -> Result<Vec<u8>> {
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
            *checksum = (xxh32_short(descriptor) >> 8) as u8;
        }
    }
    fixed
}

/// xxHash32 with seed 0 of fewer than 16 bytes, which is all that a frame header has.
fn xxh32_short(bytes: &[u8]) -> u32 {
    const P1: u32 = 0x9E37_79B1;
    const P2: u32 = 0x85EB_CA77;
    const P3: u32 = 0xC2B2_AE3D;
    const P4: u32 = 0x27D4_EB2F;
    const P5: u32 = 0x1656_67B1;
    let mut hash = P5.wrapping_add(bytes.len() as u32);
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(P3));
        hash = hash.rotate_left(17).wrapping_mul(P4);
    }
    for byte in tail {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(P5));
        hash = hash.rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(P3);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_header_with_the_checksum_of_format_v0_is_mended() {
        let body = b"so it goes, so it goes, so it goes".repeat(9);
        let good = compress(&body).unwrap();
        let end = header_end(&good).unwrap();
        assert_eq!(mended(&good), good, "our checksum is lz4's own");
        let mut old = good.clone();
        old[end] = (xxh32_short(&good[..end]) >> 8) as u8;
        assert_ne!(old, good);
        assert!(decompress(&old, 10_000).is_err());
        assert_eq!(decompress_v0(&old, 10_000).unwrap(), body);
    }
}
