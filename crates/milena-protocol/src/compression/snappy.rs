//! Snappy: written in the framing of snappy-java, read in that and as one bare block.

use milena_core::{Error, ErrorKind, Result};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{Codec, corrupt, too_large};

/// snappy-java's stream header: its magic number, then version 1 and lowest compatible version 1.
const HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
const MAGIC_LEN: usize = 8;
/// Snappy itself never looks back further than this, so larger blocks gain nothing.
const BLOCK: usize = 64 << 10;

pub(super) fn compress(body: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new();
    let mut out = Vec::with_capacity(body.len() / 2 + 64);
    let mut block = vec![0; max_compress_len(body.len().min(BLOCK))];
    out.extend_from_slice(&HEADER);
    for chunk in body.chunks(BLOCK) {
        let len = encoder.compress(chunk, &mut block).map_err(|cause| {
            Error::new(
                ErrorKind::Config,
                format!("snappy refused the body: {cause}"),
            )
        })?;
        out.extend_from_slice(&(len as u32).to_be_bytes());
        out.extend_from_slice(block.get(..len).unwrap_or_default());
    }
    Ok(out)
}

pub(super) fn decompress(body: &[u8], max_size: usize) -> Result<Vec<u8>> {
    let mut decoder = Decoder::new();
    let mut out = Vec::new();
    match body.strip_prefix(HEADER.get(..MAGIC_LEN).unwrap_or_default()) {
        None => append(&mut decoder, body, &mut out, max_size)?,
        Some(framed) => {
            let mut rest = framed
                .get(HEADER.len() - MAGIC_LEN..)
                .ok_or_else(|| corrupt(Codec::Snappy, "its header is cut short"))?;
            while let Some((prefix, behind)) = rest.split_first_chunk::<4>() {
                let len = u32::from_be_bytes(*prefix) as usize;
                let (block, behind) = behind
                    .split_at_checked(len)
                    .ok_or_else(|| corrupt(Codec::Snappy, "a block is cut short"))?;
                append(&mut decoder, block, &mut out, max_size)?;
                rest = behind;
            }
            if !rest.is_empty() {
                return Err(corrupt(Codec::Snappy, "bytes follow the last block"));
            }
        }
    }
    Ok(out)
}

/// Decompresses one block behind what `out` holds.
fn append(decoder: &mut Decoder, block: &[u8], out: &mut Vec<u8>, max_size: usize) -> Result<()> {
    let len = decompress_len(block).map_err(|cause| corrupt(Codec::Snappy, cause))?;
    if len > max_size.saturating_sub(out.len()) {
        return Err(too_large(Codec::Snappy, max_size));
    }
    // A copy element takes three bytes and yields 64 at most: a larger claim is a lie, and nothing
    // is reserved for it.
    if len > block.len().saturating_mul(32) {
        return Err(corrupt(
            Codec::Snappy,
            "a block claims more than its bytes can hold",
        ));
    }
    let start = out.len();
    out.resize(start + len, 0);
    let place = out.get_mut(start..).unwrap_or_default();
    let written = decoder
        .decompress(block, place)
        .map_err(|cause| corrupt(Codec::Snappy, cause))?;
    out.truncate(start + written);
    Ok(())
}
