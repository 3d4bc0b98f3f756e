//! The codecs of record batches, which are gzip, snappy, lz4 and zstd. Each has a cap on the size
//! that it may decompress to.

mod gzip;
mod lz4;
mod output;
mod snappy;
mod zstd;

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Result};

pub use milena_core::{Codec, Compression};

use output::Output;

/// The default cap on the bytes that one batch may decompress to (128 MiB).
pub const DEFAULT_MAX_SIZE: usize = 128 << 20;

/// Checks the level of a compression, and that its codec is part of this build.
///
/// # Errors
/// - [`ErrorKind::Config`] with the level and its bounds
/// - [`ErrorKind::Unsupported`] for zstd in a build without it
pub fn check(compression: Compression) -> Result<()> {
    match compression.codec() {
        Codec::None | Codec::Gzip | Codec::Snappy | Codec::Lz4 => {}
        Codec::Zstd => zstd::available()?,
    }
    compression.check()
}

/// Returns the lowest version of Produce that may carry batches of this codec.
#[must_use]
pub const fn produced_from(codec: Codec) -> i16 {
    match codec {
        Codec::None | Codec::Gzip | Codec::Snappy | Codec::Lz4 => 0,
        Codec::Zstd => 7,
    }
}

/// Compresses `body`.
///
/// # Errors
/// Those of [`check`].
pub fn compress(compression: Compression, body: &[u8]) -> Result<Vec<u8>> {
    compress_to(compression, body, <[u8]>::to_vec)
}

/// Compresses `body` and passes the result to `read`. The memory of the result is reused.
///
/// # Errors
/// Those of [`check`].
pub(crate) fn compress_to<T>(
    compression: Compression,
    body: &[u8],
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T> {
    check(compression)?;
    let out = match compression {
        Compression::None => return Ok(read(body)),
        Compression::Gzip(level) => gzip::compress(level, body),
        Compression::Snappy => snappy::compress(body),
        Compression::Lz4(_) => lz4::compress(body),
        Compression::Zstd(level) => zstd::compress(level, body),
    }?;
    Ok(read(out.since(0)))
}

/// Decompresses `body` into at most `max_size` bytes.
///
/// An uncompressed body is copied, so do not call this for one that can be shared. The memory of
/// other bodies is reused once their last slice is gone. Up to 16 MiB of it stays with the process.
///
/// # Errors
/// - [`ErrorKind::Decode`] if the bytes are not of this codec or would decompress to more than
///   `max_size`
/// - [`ErrorKind::Unsupported`] for zstd in a build without it
pub fn decompress(codec: Codec, body: &[u8], max_size: usize) -> Result<Bytes> {
    match codec {
        Codec::None if body.len() > max_size => Err(too_large(codec, max_size)),
        Codec::None => Ok(Bytes::copy_from_slice(body)),
        Codec::Gzip => gzip::decompress(body, max_size),
        Codec::Snappy => snappy::decompress(body, max_size),
        Codec::Lz4 => lz4::decompress(body, max_size),
        Codec::Zstd => zstd::decompress(body, max_size),
    }
}

/// Decompresses the value of a compressed message of format `magic` 0 or 1.
pub(crate) fn decompress_legacy(
    codec: Codec,
    value: &[u8],
    max_size: usize,
    magic: u8,
) -> Result<Bytes> {
    if codec == Codec::Lz4 && magic == 0 {
        return lz4::decompress_v0(value, max_size);
    }
    decompress(codec, value, max_size)
}

/// Returns the error for a body over the cap.
#[cold]
fn too_large(codec: Codec, max_size: usize) -> Error {
    let what = format!(
        "a {} body decompresses to more than the cap of {max_size} bytes; raise max_batch_size if it may be that large",
        codec.name()
    );
    Error::new(ErrorKind::Decode, what).setting("max_batch_size")
}

/// Returns the error for a body that does not decompress.
#[cold]
fn corrupt(codec: Codec, cause: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Decode,
        format!("a {} body does not decompress: {cause}", codec.name()),
    )
}

/// Reads a decoder to its end, into at most `max_size` bytes. `expected` bytes are reserved at
/// first.
fn read_capped(
    codec: Codec,
    mut decoder: impl std::io::Read,
    expected: usize,
    max_size: usize,
) -> Result<Bytes> {
    let mut out = Output::new(codec, expected, max_size);
    loop {
        match decoder.read(out.room(1)) {
            Ok(0) => return Ok(out.into_bytes()),
            Ok(read) => out.advance(read)?,
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(corrupt(codec, cause)),
        }
    }
}

#[cfg(test)]
mod tests;
