//! gzip, in pure Rust. A body may consist of several members.

use std::cell::RefCell;
use std::fmt::Display;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::{Compress, Crc, FlushCompress, Status};
use milena_core::{Error, ErrorKind, Result};

use super::output::Output;
use super::{Codec, read_capped};

thread_local! {
    /// The level and the state of the compressor. It takes some hundred KiB and is slow to create.
    static PACK: RefCell<Option<(u32, Compress)>> = const { RefCell::new(None) };
}

/// Compresses `body` to one member.
pub(super) fn compress(level: u32, body: &[u8]) -> Result<Output> {
    // Deflate adds five bytes for each block that it cannot compress.
    let most = body.len() + body.len() / 1024 + 64;
    let mut out = Output::new(Codec::Gzip, most, usize::MAX);
    // The header has no name, no time and no system.
    let speed = match level {
        9 => 2,
        1 => 4,
        _ => 0,
    };
    out.put(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, speed, 255])?;
    PACK.with_borrow_mut(|kept| {
        let new = || (level, Compress::new(flate2::Compression::new(level), false));
        let (of, packer) = kept.get_or_insert_with(new);
        if *of == level {
            packer.reset();
        } else {
            (*of, *packer) = new();
        }
        loop {
            let (read, written) = (packer.total_in(), packer.total_out());
            let left = body.get(read as usize..).unwrap_or_default();
            let status = packer
                .compress(left, out.room(STEP), FlushCompress::Finish)
                .map_err(refused)?;
            let written = (packer.total_out() - written) as usize;
            out.advance(written)?;
            match status {
                Status::StreamEnd => return Ok(()),
                _ if written == 0 && packer.total_in() == read => {
                    return Err(refused("it does not come to an end"));
                }
                _ => {}
            }
        }
    })?;
    let mut sum = Crc::new();
    sum.update(body);
    out.put(&sum.sum().to_le_bytes())?;
    out.put(&sum.amount().to_le_bytes())?;
    Ok(out)
}

/// Returns the error of the compressor.
#[cold]
fn refused(cause: impl Display) -> Error {
    Error::new(ErrorKind::Config, format!("gzip refused the body: {cause}"))
}

/// Decompresses all members of `body`.
pub(super) fn decompress(body: &[u8], max_size: usize) -> Result<Bytes> {
    read_capped(
        Codec::Gzip,
        MultiGzDecoder::new(body),
        body.len().saturating_mul(3),
        max_size,
    )
}

/// The least room that the compressor is given at a time, in bytes.
const STEP: usize = 32;
