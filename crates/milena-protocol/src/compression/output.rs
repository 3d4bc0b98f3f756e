//! The memory that a body is compressed or decompressed into. It is reused, so that it is neither
//! allocated nor zeroed for each batch.

use bytes::Bytes;
use milena_core::Result;
use parking_lot::Mutex;

use super::{Codec, too_large};

/// The output of a codec, of at most `max_size` bytes.
///
/// All of its memory has been written before, by zeros or by other bodies. The bytes that count end
/// at `filled`.
#[derive(Debug)]
pub(super) struct Output {
    /// The codec, for errors.
    codec: Codec,
    /// The most bytes that the body may have.
    max_size: usize,
    /// The memory, at least as large as the body so far.
    memory: Vec<u8>,
    /// The bytes of the body so far, at the front of `memory`.
    filled: usize,
}

impl Output {
    /// Creates an output with room for `expected` bytes at first. It grows to `max_size` if more
    /// come.
    pub(super) fn new(codec: Codec, expected: usize, max_size: usize) -> Self {
        Self {
            codec,
            max_size,
            memory: take(expected.min(max_size)),
            filled: 0,
        }
    }

    /// Returns the number of bytes so far.
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// Returns how many more bytes it may hold.
    pub(super) fn left(&self) -> usize {
        self.max_size - self.filled
    }

    /// Returns the bytes behind the first `start` ones.
    pub(super) fn since(&self, start: usize) -> &[u8] {
        self.memory.get(start..self.filled).unwrap_or_default()
    }

    /// Returns room of at least `least` bytes behind the filled ones. [`advance`](Self::advance)
    /// then says how many of them count.
    pub(super) fn room(&mut self, least: usize) -> &mut [u8] {
        self.split(self.filled, least).1
    }

    /// Returns the bytes behind the first `start` ones, and room behind those.
    pub(super) fn split(&mut self, start: usize, least: usize) -> (&[u8], &mut [u8]) {
        let needed = self.filled.saturating_add(least);
        if needed > self.memory.len() {
            let doubled = self.memory.len().saturating_mul(2).min(self.max_size);
            let mut larger = take(needed.max(doubled));
            if let (Some(to), Some(from)) = (
                larger.get_mut(..self.filled),
                self.memory.get(..self.filled),
            ) {
                to.copy_from_slice(from);
            }
            give(std::mem::replace(&mut self.memory, larger));
        }
        let (done, room) = self
            .memory
            .split_at_mut_checked(self.filled)
            .unwrap_or_default();
        (done.get(start..).unwrap_or_default(), room)
    }

    /// Appends `bytes`.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(room) = self.room(bytes.len()).get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.advance(bytes.len())
    }

    /// Counts `written` more bytes of the room as filled.
    ///
    /// # Errors
    /// A decode error if the body is larger than `max_size` now.
    pub(super) fn advance(&mut self, written: usize) -> Result<()> {
        self.filled = (self.filled + written).min(self.memory.len());
        if self.filled > self.max_size {
            return Err(too_large(self.codec, self.max_size));
        }
        Ok(())
    }

    /// Returns the body. Its memory is reused once the last slice of it is gone.
    pub(super) fn into_bytes(mut self) -> Bytes {
        let mut memory = std::mem::take(&mut self.memory);
        if memory.len() < LEAST {
            memory.truncate(self.filled);
            return Bytes::from(memory);
        }
        let held = PooledMemory {
            memory,
            len: self.filled,
        };
        if held.memory.len() / 2 > held.len {
            // The copy is smaller than the memory that the body would keep from reuse.
            return Bytes::copy_from_slice(held.as_ref());
        }
        Bytes::from_owner(held)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.memory));
    }
}

/// Memory that slices of a body lie in.
struct PooledMemory {
    /// The memory. It returns to the pool when this is dropped.
    memory: Vec<u8>,
    /// The bytes of the body, at the front of `memory`.
    len: usize,
}

impl AsRef<[u8]> for PooledMemory {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }
}

impl Drop for PooledMemory {
    fn drop(&mut self) {
        give(std::mem::take(&mut self.memory));
    }
}

/// Memory that nothing uses at present. The piece that was returned last is at the end.
#[derive(Debug)]
struct Kept {
    /// The pieces of memory.
    all: Vec<Vec<u8>>,
    /// The bytes of all pieces.
    bytes: usize,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    all: Vec::new(),
    bytes: 0,
});

/// Returns memory of `len` bytes or slightly more.
fn take(len: usize) -> Vec<u8> {
    let len = class(len);
    if len >= LEAST {
        let mut kept = KEPT.lock();
        let fits = |memory: &Vec<u8>| (len..=len.saturating_mul(2)).contains(&memory.len());
        if let Some(at) = kept.all.iter().rposition(fits) {
            let memory = kept.all.remove(at);
            kept.bytes -= memory.len();
            return memory;
        }
    }
    vec![0; len]
}

/// Keeps memory for reuse, unless it is too small, too large, or too much is kept.
fn give(memory: Vec<u8>) {
    if !(LEAST..=MOST).contains(&memory.len()) {
        return;
    }
    let mut kept = KEPT.lock();
    if kept.bytes + memory.len() <= KEPT_BYTES && kept.all.len() < KEPT_COUNT {
        kept.bytes += memory.len();
        kept.all.push(memory);
    }
}

/// Rounds up by less than a quarter, or by at most 63 bytes, so that memory fits bodies of about
/// the same size.
fn class(len: usize) -> usize {
    let step = (len / 8).checked_next_power_of_two().unwrap_or(1).max(64);
    len.checked_next_multiple_of(step).unwrap_or(len)
}

/// The least bytes of memory that is kept. Smaller memory costs less to allocate than to keep.
const LEAST: usize = 4 << 10;
/// The most bytes of memory that is kept. Larger memory is rare, and too much to hold.
const MOST: usize = 4 << 20;
/// The most bytes that are kept for the life of the process.
const KEPT_BYTES: usize = 16 << 20;
/// The most pieces of memory that are kept for the life of the process.
const KEPT_COUNT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_was_written_however_often_its_memory_was_used() {
        for round in 0..20u8 {
            let mut out = Output::new(Codec::Lz4, 10_000, 100_000);
            for part in 0..9 {
                let room = out.room(7_000);
                assert!(room.len() >= 7_000);
                room[..7_000].fill(round + part);
                out.advance(7_000).unwrap();
            }
            let body = out.into_bytes();
            assert_eq!(body.len(), 63_000);
            for (part, bytes) in body.chunks(7_000).enumerate() {
                assert!(bytes.iter().all(|byte| *byte == round + part as u8));
            }
        }
    }

    #[test]
    fn a_slice_holds_the_memory_of_its_body() {
        let fill = |byte: u8| {
            let mut out = Output::new(Codec::Lz4, 8_192, 8_192);
            out.room(8_192)[..8_192].fill(byte);
            out.advance(8_192).unwrap();
            out.into_bytes()
        };
        let slice = fill(1).slice(100..200);
        let others: Vec<_> = (2..40).map(fill).collect();
        assert_eq!(slice, vec![1; 100]);
        assert!(others.iter().zip(2..).all(|(body, byte)| body[0] == byte));
    }

    #[test]
    fn a_small_body_in_large_memory_is_copied_out() {
        let mut out = Output::new(Codec::Lz4, 1 << 20, 1 << 20);
        out.room(5)[..5].copy_from_slice(b"small");
        out.advance(5).unwrap();
        assert_eq!(out.into_bytes(), "small");
    }

    #[test]
    fn a_byte_over_the_cap_is_refused() {
        let mut out = Output::new(Codec::Gzip, 10, 10);
        assert_eq!(out.left(), 10);
        out.room(11);
        out.advance(10).unwrap();
        assert!(out.advance(1).is_err());
    }

    #[test]
    fn sizes_are_rounded_up_a_little() {
        for len in [0, 1, 63, 64, 65, 1_000, 65_536, 70_000, 1 << 20, 5_000_000] {
            let rounded = class(len);
            assert!(rounded >= len && rounded <= len + len / 4 + 64, "{len}");
        }
        assert_eq!(class(65_536), 65_536);
        assert_eq!(class(usize::MAX), usize::MAX);
    }
}
