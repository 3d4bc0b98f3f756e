//! The codecs of record batches by name and number, and the compression of a batch with its level.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::table::{words, wrong};
use crate::{Error, ErrorKind, Result};

/// The compression of a body, as the attributes of a batch name it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
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

words! {
    Codec of "compression.type" {
        None = "none",
        Gzip = "gzip",
        Snappy = "snappy",
        Lz4 = "lz4",
        Zstd = "zstd",
    }
}

impl Codec {
    /// Reads the codec bits of a batch's attributes. `None` if they name no codec.
    #[inline]
    #[must_use]
    pub const fn from_wire(raw: i16) -> Option<Self> {
        let mut codecs = Self::ALL.as_slice();
        while let [codec, others @ ..] = codecs {
            if codec.to_wire() == raw {
                return Some(*codec);
            }
            codecs = others;
        }
        None
    }

    /// Returns the codec bits.
    #[inline]
    #[must_use]
    pub const fn to_wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Returns the levels of the codec. `None` if it has none.
    #[must_use]
    pub const fn levels(self) -> Option<RangeInclusive<i64>> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip => Some(1..=9),
            Self::Lz4 => Some(1..=17),
            Self::Zstd => Some(-131_072..=22),
        }
    }
}

/// The way to compress a body, with the level if the codec has levels. In files and commands it is
/// written as its codec, or with its level as `zstd:3`.
///
/// # References
/// KIP-390 (levels), KIP-110 (zstd).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
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

    /// Every codec at its default level, in the order of [`Codec::ALL`].
    pub const ALL: [Self; Codec::ALL.len()] =
        [Self::None, Self::GZIP, Self::Snappy, Self::LZ4, Self::ZSTD];
    /// The forms in which it is written, as a text lists them.
    pub const ALLOWED: &'static str = "none, gzip, snappy, lz4 or zstd; with a level as zstd:3";

    /// Returns the codec.
    #[must_use]
    pub const fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Gzip(_) => Codec::Gzip,
            Self::Snappy => Codec::Snappy,
            Self::Lz4(_) => Codec::Lz4,
            Self::Zstd(_) => Codec::Zstd,
        }
    }

    /// Returns the level. `None` if the codec has none.
    #[must_use]
    pub fn level(self) -> Option<i64> {
        match self {
            Self::None | Self::Snappy => None,
            Self::Gzip(level) | Self::Lz4(level) => Some(level.into()),
            Self::Zstd(level) => Some(level.into()),
        }
    }

    /// Checks that the codec has this level. A producer also checks that the codec is part of the
    /// build.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with the level and its bounds.
    pub fn check(self) -> Result<()> {
        let codec = self.codec();
        match (self.level(), codec.levels()) {
            (Some(level), Some(levels)) if !levels.contains(&level) => {
                let (min, max) = levels.into_inner();
                let what = format!("{codec} level {level} is outside {min} to {max}");
                Err(Error::new(ErrorKind::Config, what).setting("compression.type"))
            }
            _ => Ok(()),
        }
    }

    /// Returns the codec at this level. `None` if it has no levels, or never one like this.
    fn at(codec: Codec, level: i32) -> Option<Self> {
        match codec {
            Codec::None | Codec::Snappy => None,
            Codec::Gzip => level.try_into().ok().map(Self::Gzip),
            Codec::Lz4 => level.try_into().ok().map(Self::Lz4),
            Codec::Zstd => Some(Self::Zstd(level)),
        }
    }
}

impl From<Codec> for Compression {
    /// Returns the codec at its default level.
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::GZIP,
            Codec::Snappy => Self::Snappy,
            Codec::Lz4 => Self::LZ4,
            Codec::Zstd => Self::ZSTD,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level() {
            Some(level) => write!(f, "{}:{level}", self.codec()),
            None => self.codec().fmt(f),
        }
    }
}

impl FromStr for Compression {
    type Err = Error;

    /// Reads a codec, or a codec and its level.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with all codecs for any other text, and with the bounds for a level
    /// outside of them.
    fn from_str(text: &str) -> Result<Self> {
        let read = || match text.split_once(':') {
            None => text.parse().ok().map(Codec::into),
            Some((codec, level)) => Self::at(codec.parse().ok()?, level.parse().ok()?),
        };
        let read: Self = read().ok_or_else(|| wrong("compression.type", text, Self::ALLOWED))?;
        read.check()?;
        Ok(read)
    }
}
