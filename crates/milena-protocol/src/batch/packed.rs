//! A few varints in one register: what stands in front of a record's key and value, stored at once.

/// Up to sixteen bytes of varints, in the order of the wire from the lowest byte up.
#[derive(Clone, Copy, Default)]
pub(super) struct Packed {
    bits: u128,
    pub(super) len: usize,
}

impl Packed {
    /// A varint of three bytes is below this.
    pub(super) const LIMIT: u64 = 1 << 21;
    pub(super) const STORE: usize = 16;

    /// Adds the varint of `raw`, which must be below [`LIMIT`](Self::LIMIT); without a branch.
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

    #[inline(always)]
    pub(super) fn followed_by(self, next: Self) -> Self {
        Self {
            bits: self.bits | next.bits << (8 * self.len),
            len: self.len + next.len,
        }
    }

    /// Stores all sixteen bytes, and gives what lies behind those that count.
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
