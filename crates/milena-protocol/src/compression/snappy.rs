//! Snappy. It is written in the framing of snappy-java, and read in that framing and as one bare
//! block.

use std::cell::RefCell;

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Result};
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::output::Output;
use super::{Codec, corrupt, too_large};

/// The stream header of snappy-java, which is its magic number, version 1, and lowest compatible
/// version 1.
const HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
/// The bytes of the magic number.
const MAGIC_LEN: usize = 8;
/// The bytes of a block before compression. Snappy itself never refers further back than this, so
/// larger blocks gain nothing.
const BLOCK: usize = 64 << 10;

thread_local! {
    /// The encoder with its table of matches, which is slow to create.
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::new());
}

/// Compresses `body` in snappy-java's framing.
pub(super) fn compress(body: &[u8]) -> Result<Output> {
    let blocks = body.len() / BLOCK + 1;
    let most = max_compress_len(body.len()) + (max_compress_len(0) + 4) * blocks + HEADER.len();
    let mut out = Output::new(Codec::Snappy, most, usize::MAX);
    out.put(&HEADER)?;
    ENCODER.with_borrow_mut(|encoder| {
        for block in body.chunks(BLOCK) {
            let room = out.room(4 + max_compress_len(block.len()));
            let (size, room) = room.split_at_mut_checked(4).unwrap_or_default();
            let len = encoder.compress(block, room).map_err(|cause| {
                let what = format!("snappy refused the body: {cause}");
                Error::new(ErrorKind::Config, what)
            })?;
            size.copy_from_slice(&(len as u32).to_be_bytes());
            out.advance(4 + len)?;
        }
        Ok(out)
    })
}

/// Decompresses `body`, framed or bare.
pub(super) fn decompress(body: &[u8], max_size: usize) -> Result<Bytes> {
    let mut decoder = Decoder::new();
    let mut expected = 0usize;
    for block in Blocks::of(body)? {
        expected = expected.saturating_add(unfolded(block?)?);
    }
    let mut out = Output::new(Codec::Snappy, expected, max_size);
    for block in Blocks::of(body)? {
        let block = block?;
        let len = unfolded(block)?;
        if len > out.left() {
            return Err(too_large(Codec::Snappy, max_size));
        }
        let room = out.room(len).get_mut(..len).unwrap_or_default();
        let written = decoder
            .decompress(block, room)
            .map_err(|cause| corrupt(Codec::Snappy, cause))?;
        out.advance(written)?;
    }
    Ok(out.into_bytes())
}

/// The compressed blocks of a body.
enum Blocks<'a> {
    /// One block without framing. `None` once it was read.
    Bare(Option<&'a [u8]>),
    /// The blocks of snappy-java's framing, each with its length in front.
    Framed(&'a [u8]),
}

impl<'a> Blocks<'a> {
    /// Recognises the framing of `body`, and returns its blocks.
    fn of(body: &'a [u8]) -> Result<Self> {
        match body.strip_prefix(HEADER.get(..MAGIC_LEN).unwrap_or_default()) {
            None => Ok(Self::Bare(Some(body))),
            Some(framed) => framed
                .get(HEADER.len() - MAGIC_LEN..)
                .map(Self::Framed)
                .ok_or_else(|| corrupt(Codec::Snappy, "its header is cut short")),
        }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = match self {
            Self::Bare(block) => return block.take().map(Ok),
            Self::Framed([]) => return None,
            Self::Framed(rest) => rest,
        };
        let Some((prefix, behind)) = rest.split_first_chunk::<4>() else {
            return Some(Err(corrupt(Codec::Snappy, "bytes follow the last block")));
        };
        let len = u32::from_be_bytes(*prefix) as usize;
        let Some((block, behind)) = behind.split_at_checked(len) else {
            return Some(Err(corrupt(Codec::Snappy, "a block is cut short")));
        };
        *rest = behind;
        Some(Ok(block))
    }
}

/// Returns the size that a block claims to decompress to.
fn unfolded(block: &[u8]) -> Result<usize> {
    let len = decompress_len(block).map_err(|cause| corrupt(Codec::Snappy, cause))?;
    // A copy element takes three bytes and yields 64 at most. A larger claim is wrong, and nothing
    // is reserved for it.
    if len > block.len().saturating_mul(32) {
        let cause = "a block claims more than its bytes can hold";
        return Err(corrupt(Codec::Snappy, cause));
    }
    Ok(len)
}
