//! The codecs of record batches, which are gzip, snappy, lz4 and zstd. Each has a cap on the size
//! that it may decompress to.

mod gzip;
mod lz4;
mod output;
mod snappy;
mod zstd;

use bytes::Bytes;
use milena_core::{Error, ErrorKind, Result};

use output::Output;

/// The default cap on the bytes that one batch may decompress to (128 MiB).
pub const DEFAULT_MAX_SIZE: usize = 128 << 20;

/// The compression of a body, as the attributes of a batch name it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Codec {
    /// No compression.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy blocks, bare or in the framing of snappy-java.
    Snappy,
    /// The lz4 frame format.
    Lz4,
    /// Zstandard (RFC 8878, KIP-110).
    Zstd,
}

impl Codec {
    /// Reads the codec bits of a batch's attributes. `None` if they name no codec.
    pub const fn from_wire(raw: i16) -> Option<Self> {
        match raw {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns the codec bits.
    pub const fn to_wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Returns the codec's name, as Kafka's settings write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// The way to compress a body, with the level if the codec has levels.
///
/// # References
/// KIP-390 (levels), KIP-110 (zstd).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Compression {
    /// No compression.
    #[default]
    None,
    /// gzip at level 1 (fast) to 9 (small).
    Gzip(u32),
    /// Snappy, in blocks of 64 KiB with the framing of snappy-java, which every client reads.
    Snappy,
    /// lz4 frames of 64 KiB blocks. Kafka's levels 1 to 17 are accepted, and all mean the fast one.
    Lz4(u32),
    /// Zstandard at level 1 to 22. Negative levels are faster still.
    Zstd(i32),
}

impl Compression {
    /// gzip at level 6, Kafka's default.
    pub const GZIP: Self = Self::Gzip(6);
    /// lz4 at its one level.
    pub const LZ4: Self = Self::Lz4(1);
    /// Zstandard at level 1. On records it is both faster and smaller than Kafka's default, 3.
    pub const ZSTD: Self = Self::Zstd(1);

    /// Returns the codec.
    pub const fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Gzip(_) => Codec::Gzip,
            Self::Snappy => Codec::Snappy,
            Self::Lz4(_) => Codec::Lz4,
            Self::Zstd(_) => Codec::Zstd,
        }
    }

    /// Checks that the codec has this level and that it is part of this build.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`] with the level and its bounds
    /// - [`ErrorKind::Unsupported`] for zstd in a build without it
    pub fn check(self) -> Result<()> {
        let (level, min, max) = match self {
            Self::None | Self::Snappy => return Ok(()),
            Self::Gzip(level) => (i64::from(level), 1, 9),
            Self::Lz4(level) => (i64::from(level), 1, 17),
            Self::Zstd(level) => {
                zstd::available()?;
                (i64::from(level), -131_072, 22)
            }
        };
        if (min..=max).contains(&level) {
            return Ok(());
        }
        let what = format!(
            "{} level {level} is outside {min} to {max}",
            self.codec().name()
        );
        Err(Error::new(ErrorKind::Config, what).setting("compression.type"))
    }
}

/// Compresses `body`.
///
/// # Errors
/// Those of [`Compression::check`].
pub fn compress(compression: Compression, body: &[u8]) -> Result<Vec<u8>> {
    compress_to(compression, body, <[u8]>::to_vec)
}

/// Compresses `body` and passes the result to `read`. The memory of the result is reused.
///
/// # Errors
/// Those of [`Compression::check`].
pub(crate) fn compress_to<T>(
    compression: Compression,
    body: &[u8],
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T> {
    compression.check()?;
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
