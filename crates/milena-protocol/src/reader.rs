//! A bounded cursor over bytes from a peer. Every read is checked, and none panics or allocates.

use milena_core::{Error, ErrorKind, Result};

/// Reads Kafka's primitive types from `bytes`, front to back.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    /// The bytes of the message.
    bytes: &'a [u8],
    /// The number of bytes that have been read. Never over the length of `bytes`.
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the number of bytes that have been read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Returns the number of bytes that are left.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Takes the next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..len) else {
            return Err(self.short(len));
        };
        self.at += len;
        Ok(taken)
    }

    /// Skips the next `len` bytes.
    pub(crate) fn skip(&mut self, len: usize) -> Result<()> {
        self.take(len).map(|_| ())
    }

    /// Takes the next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        match self.take(N)?.first_chunk::<N>() {
            Some(chunk) => Ok(*chunk),
            None => Err(self.short(N)),
        }
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// Reads an unsigned varint of at most five bytes.
    pub(crate) fn uvarint(&mut self) -> Result<u32> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(value).map_err(|_| self.bad("a varint is over 32 bits"));
            }
        }
        Err(self.bad("a varint is longer than five bytes"))
    }

    /// Reads the length of a string, which is `uvarint - 1` in flexible versions and an `i16` in
    /// others. `None` is null.
    pub(crate) fn string_len(&mut self, flexible: bool) -> Result<Option<usize>> {
        if flexible {
            Ok((self.uvarint()? as usize).checked_sub(1))
        } else {
            match self.i16()? {
                -1 => Ok(None),
                len => usize::try_from(len)
                    .map(Some)
                    .map_err(|_| self.bad("a string has a negative length")),
            }
        }
    }

    /// Reads the length of a bytes field or an array, which is `uvarint - 1` in flexible versions
    /// and an `i32` in others. `None` is null.
    pub(crate) fn bytes_len(&mut self, flexible: bool) -> Result<Option<usize>> {
        if flexible {
            Ok((self.uvarint()? as usize).checked_sub(1))
        } else {
            match self.i32()? {
                -1 => Ok(None),
                len => usize::try_from(len)
                    .map(Some)
                    .map_err(|_| self.bad("a field has a negative length")),
            }
        }
    }

    /// Reads the count of an array whose elements take at least `min_size` bytes each. `None` is
    /// null.
    ///
    /// Fails for a count that the remaining bytes cannot hold, so that the caller can safely
    /// reserve memory for it.
    pub(crate) fn array_len(&mut self, flexible: bool, min_size: usize) -> Result<Option<usize>> {
        let Some(count) = self.bytes_len(flexible)? else {
            return Ok(None);
        };
        if count.saturating_mul(min_size.max(1)) > self.remaining() {
            return Err(self.bad("an array claims more elements than there are bytes"));
        }
        Ok(Some(count))
    }

    /// Reads a string. `None` is null.
    pub(crate) fn nullable_str(&mut self, flexible: bool) -> Result<Option<&'a str>> {
        let Some(len) = self.string_len(flexible)? else {
            return Ok(None);
        };
        let bytes = self.take(len)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(self.bad("a string is not UTF-8")),
        }
    }

    /// Reads a string that must not be null.
    pub(crate) fn str(&mut self, flexible: bool) -> Result<&'a str> {
        match self.nullable_str(flexible)? {
            Some(text) => Ok(text),
            None => Err(self.bad("a string is null, but must not be")),
        }
    }

    /// Calls `field(tag, bytes)` for each tagged field, in wire order (KIP-482).
    pub(crate) fn tagged(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader<'a>) -> Result<()>,
    ) -> Result<()> {
        let count = self.uvarint()?;
        for _ in 0..count {
            let tag = self.uvarint()?;
            let size = self.uvarint()? as usize;
            let mut inner = Reader::new(self.take(size)?);
            field(tag, &mut inner)?;
        }
        Ok(())
    }

    /// Skips all tagged fields.
    pub(crate) fn skip_tagged(&mut self) -> Result<()> {
        self.tagged(|_, _| Ok(()))
    }

    /// Returns a decode error that names the position.
    pub(crate) fn bad(&self, what: &'static str) -> Error {
        Error::new(
            ErrorKind::Decode,
            format!("{what}, before byte {} of {}", self.at, self.bytes.len()),
        )
    }

    /// Returns the error for a read past the end.
    #[cold]
    fn short(&self, wanted: usize) -> Error {
        Error::new(
            ErrorKind::Decode,
            format!(
                "the message ends at byte {}, {wanted} more are needed at byte {}",
                self.bytes.len(),
                self.at
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_bytes_left_is_refused() {
        let bytes = [0x7f, 0xff, 0xff, 0xff, 0, 0];
        assert!(Reader::new(&bytes).array_len(false, 1).is_err());
        let bytes = [0, 0, 0, 2, 0, 0];
        assert_eq!(Reader::new(&bytes).array_len(false, 1).unwrap(), Some(2));
        assert!(Reader::new(&bytes).array_len(false, 2).is_err());
    }

    #[test]
    fn an_over_long_varint_is_refused() {
        assert!(
            Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0])
                .uvarint()
                .is_err()
        );
        assert!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f])
                .uvarint()
                .is_err()
        );
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f])
                .uvarint()
                .unwrap(),
            u32::MAX
        );
    }

    #[test]
    fn unknown_tags_of_every_size_are_skipped_and_never_overrun() {
        for size in [0usize, 1, 127, 128, 300] {
            let mut bytes = vec![1, 9];
            crate::writer::put_uvarint(&mut bytes, u32::try_from(size).unwrap());
            bytes.extend(std::iter::repeat_n(7, size));
            let mut reader = Reader::new(&bytes);
            reader.skip_tagged().unwrap();
            assert_eq!(reader.remaining(), 0);
            bytes.pop();
            assert!(size == 0 || Reader::new(&bytes).skip_tagged().is_err());
        }
    }
}
