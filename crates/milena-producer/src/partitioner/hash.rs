//! The hash functions for keys.

/// Returns Kafka's variant of the 32-bit murmur2 hash of `key`. The seed is `0x9747b28c`, and words
/// are little-endian.
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    // The hash takes the length modulo 2³². Kafka has no keys of 4 GiB or more.
    let mut hash = 0x9747_b28c_u32 ^ (key.len() as u32);
    let (words, tail) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (byte, shift) in tail.iter().zip([0, 8, 16]) {
            hash ^= u32::from(*byte) << shift;
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Returns the 32-bit FNV-1a hash of `key`.
#[must_use]
pub fn fnv1a(key: &[u8]) -> u32 {
    key.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// Returns the CRC-32 of `key` as in IEEE 802.3 and zlib.
#[must_use]
pub fn crc32(key: &[u8]) -> u32 {
    key.iter().fold(!0_u32, |crc, byte| {
        // The index is one byte, and so within the table.
        let index = ((crc ^ u32::from(*byte)) & 0xff) as usize;
        (crc >> 8) ^ TABLE.get(index).copied().unwrap_or(0)
    }) ^ !0
}

/// The CRC of each byte.
const TABLE: [u32; 256] = table();

/// Computes the table at compile time.
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let mut crc = at as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            table[at] = crc;
        }
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREAMBLE: &str = "PreAmbleWillBeRemoved,ThePrePartThatIs";

    #[test]
    fn murmur2_agrees_with_published_vectors() {
        for (key, hash) in [
            ("kafka", 0xd067_cf64),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x8739_30da),
            ("4", 0x5a4b_5ca1),
            (PREAMBLE, 0x7842_4f1c),
            (&PREAMBLE[1..], 0x4a62_b377),
            (&PREAMBLE[2..], 0xe0e4_e09e),
            (&PREAMBLE[3..], 0x62b8_b43f),
            ("", 0x106e_08d9),
            ("foo", 597_841_616),
            ("bar", 988_958_145),
            ("baz", 1_973_573_280),
            ("sarama", 770_765_511),
            ("order-1", 0x48d1_d1f6),
            ("user-42", 0x5700_682c),
            ("payment-success", 0xbf27_7fb7),
            ("key", 0xbfa1_76a9),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn fnv1a_agrees_with_published_vectors() {
        // These vectors were published with the absolute value of the hash.
        for (key, hash) in [
            ("kafka", 0x0d33_c4e1),
            ("giberish123456789", 0x77a5_8295),
            ("1234", 0x023b_dd03),
            ("234", 0x2dea_3cd2),
            ("34", 0x740f_a83e),
            ("4", 0x310c_a263),
            (PREAMBLE, 0x65cb_d69c),
            (&PREAMBLE[1..], 0x6e49_c79a),
            (&PREAMBLE[2..], 0x69ee_d356),
            (&PREAMBLE[3..], 0x6abc_c023),
            ("", 0x7ee3_623b),
        ] {
            assert_eq!((fnv1a(key.as_bytes()) as i32).unsigned_abs(), hash, "{key}");
        }
        for (key, hash) in [
            ("order-1", 0x2b7f_cd6d),
            ("user-42", 0x0260_73ab),
            ("payment-success", 0x6809_b45f),
            ("key", 0x6815_c86c),
            ("1468509572224", 0x8000_0000),
        ] {
            assert_eq!(fnv1a(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn crc32_agrees_with_published_vectors() {
        for (key, hash) in [
            ("23456", 0xb1b4_51d7),
            (
                "this is another string with more length to it perhaps",
                0xb015_0df7,
            ),
            ("hejsan", 0xd077_037e),
            ("", 0),
            ("order-1", 0xe0b3_7fef),
            ("user-42", 0x7d06_b873),
            ("payment-success", 0x983c_47b5),
            ("key", 0x8a90_aba9),
        ] {
            assert_eq!(crc32(key.as_bytes()), hash, "{key}");
        }
        for (key, at) in [
            ("abc123def456", 57),
            ("SheetJS", 26),
            ("9e8c7f4cf45857cfff7645d6", 24),
            ("3900446192ff85a5f67da10c", 75),
            ("0f4407b7a67d6d27de372198", 50),
        ] {
            assert_eq!(crc32(key.as_bytes()) % 100, at, "{key}");
        }
    }
}
