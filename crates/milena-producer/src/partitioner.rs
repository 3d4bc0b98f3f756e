//! Which partition a record goes to: the choice by key that Java's clients make, or the user's own.

/// What a partitioner sees of a record.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Partitioning<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// How many partitions the topic has; at least 1.
    pub partitions: u32,
}

/// What a partitioner answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This partition; it must be below [`Partitioning::partitions`].
    Partition(u32),
    /// Any: the producer stays with one partition for a while, so that batches grow (KIP-794).
    Sticky,
}

/// Chooses the partition of a record that does not name one. Called on the caller's task, once per record.
///
/// A closure `Fn(&Partitioning<'_>) -> Choice` is a partitioner too.
pub trait Partitioner: Send + Sync {
    /// Chooses.
    fn choose(&self, record: &Partitioning<'_>) -> Choice;
}

impl<F: Fn(&Partitioning<'_>) -> Choice + Send + Sync> Partitioner for F {
    fn choose(&self, record: &Partitioning<'_>) -> Choice {
        self(record)
    }
}

/// The default: murmur2 of the key, as Java's clients do, so that a mixed fleet puts a key in one place.
/// Records without a key are [`Choice::Sticky`]; an empty key is a key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Murmur2;

impl Partitioner for Murmur2 {
    #[inline]
    fn choose(&self, record: &Partitioning<'_>) -> Choice {
        match record.key {
            Some(key) => Choice::Partition((murmur2(key) & 0x7fff_ffff) % record.partitions.max(1)),
            None => Choice::Sticky,
        }
    }
}

/// Kafka's variant of the 32-bit murmur2 hash: seed `0x9747b28c`, little-endian words.
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    // Longer keys than 4 GiB do not exist; the hash takes the length modulo 2³².
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key: &[u8], partitions: u32) -> Choice {
        Murmur2.choose(&Partitioning {
            topic: "orders",
            key: Some(key),
            value: None,
            partitions,
        })
    }

    #[test]
    fn the_hash_agrees_with_published_vectors() {
        for (key, hash) in [
            ("kafka", 0xd067_cf64),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x8739_30da),
            ("4", 0x5a4b_5ca1),
            ("PreAmbleWillBeRemoved,ThePrePartThatIs", 0x7842_4f1c),
            ("reAmbleWillBeRemoved,ThePrePartThatIs", 0x4a62_b377),
            ("", 0x106e_08d9),
            ("foo", 597_841_616),
            ("sarama", 770_765_511),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn a_key_lands_where_java_puts_it() {
        assert_eq!(of(b"order-1", 6), Choice::Partition(4));
        assert_eq!(of(b"order-1", 12), Choice::Partition(10));
        assert_eq!(of(b"payment-success", 6), Choice::Partition(1));
        assert_eq!(of(b"payment-success", 12), Choice::Partition(7));
        assert_eq!(of(b"", 1000), Choice::Partition(681));
        assert_eq!(of(b"\x00 ", 1000), Choice::Partition(742));
    }

    #[test]
    fn a_record_without_a_key_sticks() {
        let choice = Murmur2.choose(&Partitioning {
            topic: "orders",
            key: None,
            value: Some(b"v"),
            partitions: 3,
        });
        assert_eq!(choice, Choice::Sticky);
    }
}
