//! Kafka's primitive types, appended to a vector.

use milena_core::{Error, ErrorKind, Result};

pub(crate) fn put_i8(out: &mut Vec<u8>, value: i8) {
    out.push(value.cast_unsigned());
}

pub(crate) fn put_i16(out: &mut Vec<u8>, value: i16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_i32(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a string or null. In flexible versions it is compact, with its length plus one as a
/// varint.
pub(crate) fn put_str(out: &mut Vec<u8>, text: Option<&str>, flexible: bool) -> Result<()> {
    let too_long = || Error::new(ErrorKind::Config, "a string is over 32767 bytes long");
    match text {
        None if flexible => put_uvarint(out, 0),
        None => put_i16(out, -1),
        Some(text) => {
            let len = i16::try_from(text.len()).map_err(|_| too_long())?;
            if flexible {
                put_uvarint(out, u32::from(len.unsigned_abs()) + 1);
            } else {
                put_i16(out, len);
            }
            out.extend_from_slice(text.as_bytes());
        }
    }
    Ok(())
}

/// Writes the count of an array. In flexible versions it is compact, with the count plus one as a
/// varint.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize, flexible: bool) -> Result<()> {
    let count = i32::try_from(count)
        .map_err(|_| Error::new(ErrorKind::Config, "an array has over 2147483647 elements"))?;
    if flexible {
        put_uvarint(out, count.unsigned_abs() + 1);
    } else {
        put_i32(out, count);
    }
    Ok(())
}

/// Ends a struct. In flexible versions this writes that there are no tagged fields.
pub(crate) fn put_no_tags(out: &mut Vec<u8>, flexible: bool) {
    if flexible {
        out.push(0);
    }
}
