//! A few varints in one register. They are the bytes before a record's key and value, which are
//! stored in one step.

/// Up to sixteen bytes of varints, the first one in the lowest bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Packed {
    /// The bytes.
    bits: u128,
    /// The number of bytes that count.
    pub(super) len: usize,
}

impl Packed {
    /// The limit below which a varint takes three bytes at most.
    pub(super) const LIMIT: u64 = 1 << 21;
    /// The bytes that [`store`](Self::store) writes.
    pub(super) const STORE: usize = 16;

    /// Adds the varint of `raw`, without a branch. `raw` must be below [`LIMIT`](Self::LIMIT).
    #[inline(always)]
    pub(super) fn with(self, raw: u64) -> Self {
        let two = u64::from(raw >= 0x80);
        let three = u64::from(raw >= 0x4000);
        let spread = (raw & 0x7f) | (raw & 0x3f80) << 1 | (raw & 0x1f_c000) << 2;
        let more = two << 7 | three << 15;
        let bits = u128::from(spread | more);
        self.followed_by(Self {
            bits,
            len: (1 + two + three) as usize,
        })
    }

    /// Appends the bytes of `next`.
    #[inline(always)]
    pub(super) fn followed_by(self, next: Self) -> Self {
        Self {
            bits: self.bits | next.bits << (8 * self.len),
            len: self.len + next.len,
        }
    }

    /// Stores all sixteen bytes. Returns the room behind those that count. `None` if `out` is too
    /// short.
    #[inline(always)]
    pub(super) fn store(self, out: &mut [u8]) -> Option<&mut [u8]> {
        *out.first_chunk_mut::<{ Self::STORE }>()? = self.bits.to_le_bytes();
        out.get_mut(self.len..)
    }
}

#[cfg(test)]
mod tests {
    use super::super::varint;
    use super::*;

    #[test]
    fn packed_varints_are_those_written_one_by_one() {
        for raw in
            (0..Packed::LIMIT)
                .step_by(61)
                .chain([0x7f, 0x80, 0x3fff, 0x4000, Packed::LIMIT - 1])
        {
            let mut expected = [0u8; 16];
            let len = varint::put(&mut expected, 5);
            let len = len + varint::put(&mut expected[len..], raw);
            let len = len + varint::put(&mut expected[len..], 300);
            let packed = Packed::default().with(5).with(raw).with(300);
            let mut out = [0xffu8; 16];
            assert_eq!(packed.store(&mut out).unwrap().len(), 16 - len);
            assert_eq!(out[..len], expected[..len], "{raw}");
        }
    }
}
