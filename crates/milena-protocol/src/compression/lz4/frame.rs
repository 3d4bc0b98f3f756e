//! Reads lz4 frames block by block, each straight into the memory of the body.

use bytes::Bytes;
use lz4_flex::block::{DecompressError, decompress_into, decompress_into_with_dict};
use milena_core::{Error, Result};
use twox_hash::XxHash32;

use crate::compression::output::Output;
use crate::compression::{Codec, corrupt, too_large};

/// Decompresses the frames in `body`, one behind the other. Skippable frames are skipped.
pub(in crate::compression) fn decompress(body: &[u8], max_size: usize) -> Result<Bytes> {
    if body.is_empty() {
        return Err(corrupt(Codec::Lz4, "it is empty"));
    }
    let mut rest = Input(body);
    let mut out = Output::new(Codec::Lz4, expected(body), max_size);
    while !rest.0.is_empty() {
        match rest.word()? {
            MAGIC => read_frame(&mut rest, &mut out)?,
            magic if magic & !0xf == SKIPPABLE => {
                let len = rest.word()?;
                rest.take(len as usize)?;
            }
            magic => {
                return Err(corrupt(
                    Codec::Lz4,
                    format_args!("no frame begins with {magic:#010x}"),
                ));
            }
        }
    }
    Ok(out.into_bytes())
}

/// Returns the bytes that a first frame can decompress to, by its header and the sizes of its
/// blocks. They are checked later.
fn expected(body: &[u8]) -> usize {
    let hint = body.len().saturating_mul(HINT).max(BLOCK_SIZES[0]);
    let mut rest = Input(body);
    let Ok(header) = rest.word().and_then(|_| Header::read(&mut rest)) else {
        return 0;
    };
    if let Some(size) = header.content_size {
        return usize::try_from(size).unwrap_or(usize::MAX).min(hint);
    }
    let mut sum = 0usize;
    while let Ok(Some(block)) = header.block(&mut rest) {
        sum = sum.saturating_add(block.most(header.block_max));
    }
    sum.min(hint)
}

/// Reads a frame behind its magic number, and checks its checksums and its size.
fn read_frame(rest: &mut Input<'_>, out: &mut Output) -> Result<()> {
    let header = Header::read(rest)?;
    let start = out.len();
    while let Some(block) = header.block(rest)? {
        if let Some(checksum) = block.checksum {
            check(checksum, block.bytes, "a block")?;
        }
        unfold(&header, &block, start, out)?;
    }
    if header.content_checksum {
        check(rest.word()?, out.since(start), "the content")?;
    }
    let len = (out.len() - start) as u64;
    match header.content_size {
        Some(size) if size != len => Err(corrupt(
            Codec::Lz4,
            format_args!("a frame of {size} bytes has {len}"),
        )),
        _ => Ok(()),
    }
}

/// Decompresses one block behind the bytes in `out`, of which those from `start` on belong to the
/// same frame.
fn unfold(header: &Header, block: &Block<'_>, start: usize, out: &mut Output) -> Result<()> {
    let most = block.most(header.block_max);
    let least = most.min(out.left());
    if block.plain {
        if block.bytes.len() > header.block_max {
            return Err(corrupt(Codec::Lz4, "a block is larger than its frame says"));
        }
        if block.bytes.len() > out.left() {
            return Err(too_large(Codec::Lz4, out.len() + out.left()));
        }
        if let Some(room) = out.room(least).get_mut(..block.bytes.len()) {
            room.copy_from_slice(block.bytes);
        }
        return out.advance(block.bytes.len());
    }
    let (window, room) = out.split(start, least);
    let window = window.get(window.len().saturating_sub(WINDOW)..);
    let room = room.get_mut(..least).unwrap_or_default();
    let written = match window.filter(|bytes| !header.independent && !bytes.is_empty()) {
        Some(window) => decompress_into_with_dict(block.bytes, room, window),
        None => decompress_into(block.bytes, room),
    };
    match written {
        Ok(written) => out.advance(written),
        Err(DecompressError::OutputTooSmall { .. }) if least < most => {
            Err(too_large(Codec::Lz4, out.len() + out.left()))
        }
        Err(cause) => Err(corrupt(Codec::Lz4, cause)),
    }
}

/// Compares a checksum with the bytes that it covers.
fn check(expected: u32, bytes: &[u8], what: &str) -> Result<()> {
    let actual = XxHash32::oneshot(0, bytes);
    if actual == expected {
        return Ok(());
    }
    let cause = format_args!("{what} has checksum {expected:#010x}, its bytes give {actual:#010x}");
    Err(corrupt(Codec::Lz4, cause))
}

/// The descriptor of a frame.
struct Header {
    /// True if no block refers to bytes of earlier blocks.
    independent: bool,
    /// True if a checksum follows each block.
    block_checksums: bool,
    /// True if a checksum of the content follows the last block.
    content_checksum: bool,
    /// The bytes of the content. `None` if the frame does not say.
    content_size: Option<u64>,
    /// The most bytes that a block decompresses to.
    block_max: usize,
}

impl Header {
    /// Reads the descriptor behind the magic number.
    fn read(rest: &mut Input<'_>) -> Result<Self> {
        let descriptor = rest.0;
        let [flags, sizes] = *rest.array::<2>()?;
        let cause = if flags & 0xc0 != 0x40 {
            "its version is not 1"
        } else if flags & 0x02 != 0 || sizes & 0x8f != 0 {
            "reserved bits are set"
        } else if flags & 0x01 != 0 {
            "it needs a dictionary"
        } else {
            ""
        };
        let block_max = usize::from(sizes >> 4)
            .checked_sub(4)
            .and_then(|class| BLOCK_SIZES.get(class));
        let Some(block_max) = block_max.filter(|_| cause.is_empty()) else {
            let unknown = "its block size is unknown";
            return Err(corrupt(
                Codec::Lz4,
                if cause.is_empty() { unknown } else { cause },
            ));
        };
        let content_size = match flags & 0x08 {
            0 => None,
            _ => Some(u64::from_le_bytes(*rest.array::<8>()?)),
        };
        let len = descriptor.len() - rest.0.len();
        let checksum = header_checksum(descriptor.get(..len).unwrap_or_default());
        if *rest.array::<1>()? != [checksum] {
            return Err(corrupt(Codec::Lz4, "the checksum of its header is wrong"));
        }
        Ok(Self {
            independent: flags & 0x20 != 0,
            block_checksums: flags & 0x10 != 0,
            content_checksum: flags & 0x04 != 0,
            content_size,
            block_max: *block_max,
        })
    }

    /// Reads the next block. `None` at the mark that ends the frame.
    fn block<'a>(&self, rest: &mut Input<'a>) -> Result<Option<Block<'a>>> {
        let size = rest.word()?;
        if size == 0 {
            return Ok(None);
        }
        let bytes = rest.take((size & !PLAIN) as usize)?;
        let checksum = match self.block_checksums {
            true => Some(rest.word()?),
            false => None,
        };
        Ok(Some(Block {
            bytes,
            plain: size & PLAIN != 0,
            checksum,
        }))
    }
}

/// Returns the checksum byte that follows a descriptor.
pub(super) fn header_checksum(descriptor: &[u8]) -> u8 {
    (XxHash32::oneshot(0, descriptor) >> 8) as u8
}

/// One block of a frame.
struct Block<'a> {
    /// The bytes of the block.
    bytes: &'a [u8],
    /// True if the bytes are stored uncompressed.
    plain: bool,
    /// The checksum of the bytes. `None` if the frame has no block checksums.
    checksum: Option<u32>,
}

impl Block<'_> {
    /// Returns the most bytes that the block can decompress to.
    fn most(&self, block_max: usize) -> usize {
        match self.plain {
            true => self.bytes.len(),
            // One byte of a length stands for 255 bytes at most.
            false => (self.bytes.len().saturating_mul(255)).min(block_max),
        }
    }
}

/// The bytes that were not read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// Takes the next `len` bytes.
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or_else(cut)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes the next `N` bytes.
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or_else(cut)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads the next four bytes as a number.
    fn word(&mut self) -> Result<u32> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// Returns the error for a frame that ends early.
#[cold]
fn cut() -> Error {
    corrupt(Codec::Lz4, "it is cut short")
}

/// The first four bytes of a frame.
pub(super) const MAGIC: u32 = 0x184d_2204;
/// The first four bytes of a skippable frame, except for their lowest four bits.
const SKIPPABLE: u32 = 0x184d_2a50;
/// The bit of a block's size which says that the block is stored uncompressed.
pub(super) const PLAIN: u32 = 1 << 31;
/// The block sizes of the classes 4 to 7, in bytes.
const BLOCK_SIZES: [usize; 4] = [64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// The distance that a linked block may refer back, in bytes.
const WINDOW: usize = 64 << 10;
/// The most bytes that are reserved at first per byte of input, whatever a frame claims.
const HINT: usize = 32;
