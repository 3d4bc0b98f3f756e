//! Zigzag varints of record batches, with fast paths for one and two bytes, which are the most
//! frequent.

/// The most bytes that a varint of 64 bits takes.
pub(crate) const MAX_LEN: usize = 10;

/// Maps a signed number to an unsigned one, so that small absolute values stay small.
#[inline(always)]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Maps a number back that [`zigzag`] mapped.
#[inline(always)]
pub(crate) fn unzigzag(raw: u64) -> i64 {
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

/// Returns the number of bytes that the varint of `raw` takes.
#[inline(always)]
pub(crate) fn len(raw: u64) -> usize {
    (70 - (raw | 1).leading_zeros()) as usize / 7
}

/// Writes `raw` at the front of `out`, as far as it fits. Returns the number of bytes written.
#[inline(always)]
pub(crate) fn put(out: &mut [u8], raw: u64) -> usize {
    match out {
        [first, ..] if raw < 0x80 => {
            *first = raw as u8;
            1
        }
        [first, second, ..] if raw < 0x4000 => {
            *first = raw as u8 | 0x80;
            *second = (raw >> 7) as u8;
            2
        }
        _ => put_long(out, raw),
    }
}

/// Writes a varint of any length.
fn put_long(out: &mut [u8], mut raw: u64) -> usize {
    let mut written = 0;
    for byte in out.iter_mut() {
        written += 1;
        if raw < 0x80 {
            *byte = raw as u8;
            break;
        }
        *byte = raw as u8 | 0x80;
        raw >>= 7;
    }
    written
}

/// Reads a varint from the front of `bytes`. `None` if they end early or it is over 64 bits.
#[inline(always)]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    match *bytes {
        [first, rest @ ..] if *first < 0x80 => {
            *bytes = rest;
            Some(u64::from(*first))
        }
        [first, second, rest @ ..] if *second < 0x80 => {
            *bytes = rest;
            Some(u64::from(*first & 0x7f) | u64::from(*second) << 7)
        }
        _ => take_long(bytes),
    }
}

/// Reads a varint of any length.
fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let mut raw = 0u64;
    for (at, byte) in bytes.iter().enumerate().take(MAX_LEN) {
        let part = u64::from(*byte & 0x7f);
        if at == MAX_LEN - 1 && part > 1 {
            return None;
        }
        raw |= part << (7 * at);
        if *byte < 0x80 {
            *bytes = bytes.get(at + 1..)?;
            return Some(raw);
        }
    }
    None
}

/// Reads a zigzag varint.
#[inline(always)]
pub(crate) fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    take(bytes).map(unzigzag)
}

/// A length of 32 bits, where `-1` means null.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Length {
    Null,
    Of(usize),
}

/// Reads a length, which is zigzag with `-1` for null. `None` if it is neither that nor a 32-bit
/// number of at least 0.
#[inline(always)]
pub(crate) fn take_length(bytes: &mut &[u8]) -> Option<Length> {
    let raw = take(bytes)?;
    if raw & 1 == 0 && raw <= u32::MAX as u64 {
        Some(Length::Of((raw >> 1) as usize))
    } else if raw == 1 {
        Some(Length::Null)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_comes_back_and_takes_the_length_foretold() {
        let mut values = vec![0i64, -1, 1, i64::MAX, i64::MIN];
        for bits in 0..63 {
            values.extend([1i64 << bits, (1i64 << bits) - 1, -(1i64 << bits)]);
        }
        for value in values {
            let mut out = [0u8; 16];
            let written = put(&mut out, zigzag(value));
            assert_eq!(written, len(zigzag(value)), "{value}");
            let mut read = &out[..written];
            assert_eq!(take_signed(&mut read), Some(value));
            assert!(read.is_empty());
            assert_eq!(take(&mut &out[..written - 1]), None);
        }
    }

    #[test]
    fn a_varint_over_64_bits_is_refused() {
        assert_eq!(take(&mut &[0xff; 12][..]), None);
        assert_eq!(
            take(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2][..]),
            None
        );
    }

    #[test]
    fn lengths_are_null_or_32_bits() {
        let read = |value: i64| {
            let mut out = [0u8; 16];
            let written = put(&mut out, zigzag(value));
            take_length(&mut &out[..written])
        };
        assert_eq!(read(-1), Some(Length::Null));
        assert_eq!(read(300), Some(Length::Of(300)));
        assert_eq!(
            read(i64::from(i32::MAX)),
            Some(Length::Of(i32::MAX as usize))
        );
        assert_eq!(read(-2), None);
        assert_eq!(read(i64::from(i32::MAX) + 1), None);
    }
}
