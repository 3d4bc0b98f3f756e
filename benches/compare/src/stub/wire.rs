//! Reads requests field by field from the stream, and writes answers.

use std::io::{self, BufRead, Read};

/// The first fields of every request.
pub(super) struct Head {
    pub(super) api: i16,
    pub(super) version: i16,
    pub(super) correlation: i32,
}

impl Head {
    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        Ok(Self {
            api: i16::from_be_bytes(array(from)?),
            version: i16::from_be_bytes(array(from)?),
            correlation: i32::from_be_bytes(array(from)?),
        })
    }
}

pub(super) fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn u32(from: &mut impl Read) -> io::Result<u32> {
    Ok(u32::from_be_bytes(array(from)?))
}

pub(super) fn i32(from: &mut impl Read) -> io::Result<i32> {
    Ok(i32::from_be_bytes(array(from)?))
}

pub(super) fn i16(from: &mut impl Read) -> io::Result<i16> {
    Ok(i16::from_be_bytes(array(from)?))
}

pub(super) fn varint(from: &mut impl Read) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let [byte] = array(from)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Skips `count` bytes, or the rest of the input.
pub(super) fn skip(from: &mut impl BufRead, mut count: u64) -> io::Result<()> {
    while count > 0 {
        let here = from.fill_buf()?.len();
        if here == 0 {
            break;
        }
        let part = count.min(here as u64) as usize;
        from.consume(part);
        count -= part as u64;
    }
    Ok(())
}

/// The encoding of lengths and arrays, in the old form or the compact one.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub(super) flexible: bool,
}

impl Form {
    /// Reads the length of a string. `None` for null.
    pub(super) fn string(self, from: &mut impl Read) -> io::Result<Option<u64>> {
        if self.flexible {
            return Ok(varint(from)?.checked_sub(1));
        }
        Ok(u64::try_from(i16(from)?).ok())
    }

    /// Reads the length of an array or of bytes. Zero for null.
    pub(super) fn len(self, from: &mut impl Read) -> io::Result<u64> {
        if self.flexible {
            return Ok(varint(from)?.saturating_sub(1));
        }
        Ok(u64::try_from(i32(from)?).unwrap_or(0))
    }

    /// Skips tagged fields, which only the flexible form has.
    pub(super) fn tags(self, from: &mut impl BufRead) -> io::Result<()> {
        if self.flexible {
            for _ in 0..varint(from)? {
                varint(from)?;
                let len = varint(from)?;
                skip(from, len)?;
            }
        }
        Ok(())
    }

    pub(super) fn put_string(self, out: &mut Vec<u8>, text: &[u8]) {
        if self.flexible {
            put_varint(out, text.len() as u64 + 1);
        } else {
            out.extend((text.len() as i16).to_be_bytes());
        }
        out.extend(text);
    }

    pub(super) fn put_len(self, out: &mut Vec<u8>, len: u64) {
        if self.flexible {
            put_varint(out, len + 1);
        } else {
            out.extend((len as i32).to_be_bytes());
        }
    }

    pub(super) fn put_tags(self, out: &mut Vec<u8>) {
        if self.flexible {
            out.push(0);
        }
    }
}
