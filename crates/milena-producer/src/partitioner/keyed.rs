//! The schemes that hash the key. They differ in the hash, in how it becomes a partition, and in
//! the treatment of records without a key.

use super::balance::RoundRobin;
use super::hash::{crc32, fnv1a, murmur2};
use super::{Choice, Partitioner, Partitioning};

/// The default scheme, which is murmur2 of the key as in Java's clients, so that different clients
/// put a key in the same partition. Records without a key are [`Choice::Sticky`]. An empty key is a
/// key.
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

/// A scheme of another client that hashes keys.
#[derive(Debug)]
pub struct Keyed {
    /// The hash of the key.
    hash: Hash,
    /// The step from the hash to the partition.
    fold: Fold,
    /// The treatment of a record without a key.
    without_key: Unkeyed,
    /// The treatment of a record with an empty key.
    empty_key: Unkeyed,
    /// The turns of records that go to each partition in turn.
    turns: RoundRobin,
}

/// The hash functions that clients use.
#[derive(Clone, Copy, Debug)]
enum Hash {
    Murmur2,
    Fnv1a,
    Crc32,
}

/// The step from a hash to a number below the number of partitions.
#[derive(Clone, Copy, Debug)]
enum Fold {
    /// The remainder of the hash without its highest bit.
    Masked,
    /// The remainder of the hash as it is.
    Unsigned,
    /// The remainder of the hash as a signed number, then its absolute value.
    SignedThenAbs,
    /// The absolute value of the hash as a signed number, which wraps at the lowest, then the
    /// remainder.
    AbsThenUnsigned,
}

/// The treatment of a record without a key, or with an empty one.
#[derive(Clone, Copy, Debug)]
enum Unkeyed {
    /// It is hashed as an empty key.
    Hashed,
    /// It goes to a random partition.
    Random,
    /// It goes to each partition in turn.
    InTurn,
}

macro_rules! schemes {
    ($($name:ident: $hash:ident $fold:ident $without:ident $empty:ident, $doc:literal;)*) => {
        impl Keyed {
            $(
                #[doc = $doc]
                #[must_use]
                pub fn $name() -> Self {
                    Self {
                        hash: Hash::$hash,
                        fold: Fold::$fold,
                        without_key: Unkeyed::$without,
                        empty_key: Unkeyed::$empty,
                        turns: RoundRobin::default(),
                    }
                }
            )*
        }
    };
}

schemes! {
    murmur2: Murmur2 Masked Hashed Hashed,
        "Returns the scheme of librdkafka's `murmur2` and kafka-go's `Murmur2Balancer{Consistent}`. Keys go where Java's clients put them. A record without a key counts as one with an empty key.";
    murmur2_random: Murmur2 Masked Random Hashed,
        "Returns the scheme of librdkafka's `murmur2_random`, kafka-go's `Murmur2Balancer`, sarama's Murmur2, and kafka-python's default. Keys go where Java's clients put them. Records without a key go to a random partition.";
    consistent: Crc32 Unsigned Hashed Hashed,
        "Returns the scheme of librdkafka's `consistent` and kafka-go's `CRC32Balancer{Consistent}`. It takes the CRC-32 of the key. Records without a key go to the first partition.";
    consistent_random: Crc32 Unsigned Random Random,
        "Returns the scheme of librdkafka's default `consistent_random` and kafka-go's `CRC32Balancer`. It takes the CRC-32 of the key. Records without a key or with an empty one go to a random partition.";
    sarama_crc: Crc32 Unsigned Random Hashed,
        "Returns the scheme of sarama's `ConsistentCRCHash`. It takes the CRC-32 of the key, even of an empty one. Records without a key go to a random partition.";
    fnv1a: Fnv1a AbsThenUnsigned Hashed Hashed,
        "Returns the scheme of librdkafka's `fnv1a`. It takes the FNV-1a of the key. A record without a key counts as one with an empty key.";
    fnv1a_random: Fnv1a AbsThenUnsigned Random Hashed,
        "Returns the scheme of librdkafka's `fnv1a_random`. It takes the FNV-1a of the key. Records without a key go to a random partition.";
    sarama_hash: Fnv1a SignedThenAbs Random Hashed,
        "Returns the scheme of sarama's default `NewHashPartitioner`. It takes the FNV-1a of the key. Records without a key go to a random partition.";
    sarama_reference_hash: Fnv1a Masked Random Hashed,
        "Returns the scheme of sarama's `NewReferenceHashPartitioner`. It takes the FNV-1a of the key without its highest bit. Records without a key go to a random partition.";
    kafka_go_hash: Fnv1a SignedThenAbs InTurn Hashed,
        "Returns the scheme of kafka-go's `Hash`. It takes the FNV-1a of the key. Records without a key go to each partition in turn.";
    kafka_go_reference_hash: Fnv1a Masked Random Hashed,
        "Returns the scheme of kafka-go's `ReferenceHash`. It takes the FNV-1a of the key without its highest bit. Records without a key go to a random partition.";
}

impl Partitioner for Keyed {
    fn choose(&self, record: &Partitioning<'_>) -> Choice {
        let (key, way) = match record.key {
            None => (&[][..], self.without_key),
            Some([]) => (&[][..], self.empty_key),
            Some(key) => (key, Unkeyed::Hashed),
        };
        match way {
            Unkeyed::Hashed => Choice::Partition(self.partition(key, record.partitions.max(1))),
            Unkeyed::Random => Choice::Random,
            Unkeyed::InTurn => self.turns.choose(record),
        }
    }
}

impl Keyed {
    /// Returns the partition of a hashed key.
    fn partition(&self, key: &[u8], partitions: u32) -> u32 {
        let hash = match self.hash {
            Hash::Murmur2 => murmur2(key),
            Hash::Fnv1a => fnv1a(key),
            Hash::Crc32 => crc32(key),
        };
        match self.fold {
            Fold::Masked => (hash & 0x7fff_ffff) % partitions,
            Fold::Unsigned => hash % partitions,
            // The remainder is taken first, since the lowest signed number has no absolute value.
            Fold::SignedThenAbs => {
                let count = i32::try_from(partitions).unwrap_or(i32::MAX);
                (hash.cast_signed() % count).unsigned_abs()
            }
            Fold::AbsThenUnsigned => hash.cast_signed().unsigned_abs() % partitions,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scheme: &dyn Partitioner, key: Option<&[u8]>, partitions: u32) -> Choice {
        scheme.choose(&Partitioning {
            topic: "orders",
            key,
            value: None,
            partitions,
        })
    }

    fn at(scheme: &dyn Partitioner, key: &str, partitions: u32) -> u32 {
        match of(scheme, Some(key.as_bytes()), partitions) {
            Choice::Partition(at) => at,
            other => panic!("{key} goes to {other:?}"),
        }
    }

    #[test]
    fn a_key_lands_where_java_puts_it() {
        for (key, six, twelve) in [
            ("order-1", 4, 10),
            ("user-42", 4, 4),
            ("payment-success", 1, 7),
            ("key", 1, 1),
        ] {
            for scheme in [
                &Murmur2 as &dyn Partitioner,
                &Keyed::murmur2(),
                &Keyed::murmur2_random(),
            ] {
                assert_eq!(
                    (at(scheme, key, 6), at(scheme, key, 12)),
                    (six, twelve),
                    "{key}"
                );
            }
        }
        for (key, expected) in [
            ("", 681),
            ("a", 524),
            ("ab", 434),
            ("abc", 107),
            ("123456789", 566),
            ("\0 ", 742),
        ] {
            assert_eq!(at(&Murmur2, key, 1_000), expected, "{key}");
        }
        for (key, expected) in [
            ("foo", 16),
            ("bar", 45),
            ("baz", 80),
            ("kafka", 80),
            ("sarama", 11),
        ] {
            assert_eq!(at(&Murmur2, key, 100), expected, "{key}");
        }
        assert_eq!(of(&Murmur2, None, 3), Choice::Sticky);
    }

    #[test]
    fn a_key_lands_where_sarama_and_kafka_go_put_it() {
        for (key, six, twelve) in [
            ("order-1", 1, 1),
            ("user-42", 3, 3),
            ("payment-success", 1, 7),
            ("key", 4, 4),
        ] {
            for scheme in [Keyed::sarama_hash(), Keyed::kafka_go_hash()] {
                assert_eq!(
                    (at(&scheme, key, 6), at(&scheme, key, 12)),
                    (six, twelve),
                    "{key}"
                );
            }
        }
        let (hash, reference) = (Keyed::kafka_go_hash(), Keyed::kafka_go_reference_hash());
        assert_eq!(
            [
                at(&hash, "blah", 2),
                at(&hash, "blah", 3),
                at(&hash, "boop", 3),
                at(&hash, "20", 16)
            ],
            [0, 1, 2, 1]
        );
        assert_eq!(
            [at(&reference, "blah", 2), at(&reference, "blah", 3)],
            [0, 1]
        );
        assert_eq!(
            [at(&reference, "castle", 3), at(&reference, "20", 16)],
            [2, 15]
        );
    }

    #[test]
    fn a_hash_with_nothing_but_its_highest_bit_is_folded_as_each_client_does() {
        let key = "1468509572224";
        assert_eq!(at(&Keyed::sarama_hash(), key, 50), 48);
        assert_eq!(at(&Keyed::sarama_reference_hash(), key, 50), 0);
        assert_eq!(at(&Keyed::fnv1a(), key, 50), 48);
    }

    #[test]
    fn a_key_lands_where_librdkafka_puts_it() {
        let long = "this is another string with more length to it perhaps";
        for (key, crc, murmur, fnv) in [
            ("23456", 7, 9, 6),
            (long, 15, 11, 0),
            ("hejsan", 14, 5, 4),
            ("", 0, 11, 0),
        ] {
            assert_eq!(at(&Keyed::consistent(), key, 17), crc, "{key}");
            assert_eq!(at(&Keyed::murmur2(), key, 17), murmur, "{key}");
            assert_eq!(at(&Keyed::fnv1a(), key, 17), fnv, "{key}");
        }
        for (key, six, twelve) in [
            ("order-1", 1, 7),
            ("user-42", 1, 7),
            ("payment-success", 5, 5),
            ("key", 1, 1),
        ] {
            for scheme in [
                Keyed::consistent(),
                Keyed::consistent_random(),
                Keyed::sarama_crc(),
            ] {
                assert_eq!(
                    (at(&scheme, key, 6), at(&scheme, key, 12)),
                    (six, twelve),
                    "{key}"
                );
            }
        }
        assert_eq!(
            at(&Keyed::consistent(), "SheetJS", 100),
            26,
            "a signed remainder would be 70"
        );
        assert_eq!(at(&Keyed::consistent_random(), "boop", 3), 1);
    }

    #[test]
    fn records_without_a_key_and_with_an_empty_one_go_as_each_client_sends_them() {
        use Choice::{Partition, Random};
        let table = [
            (Keyed::murmur2(), Partition(11), Partition(11)),
            (Keyed::murmur2_random(), Random, Partition(11)),
            (Keyed::consistent(), Partition(0), Partition(0)),
            (Keyed::consistent_random(), Random, Random),
            (Keyed::sarama_crc(), Random, Partition(0)),
            (Keyed::fnv1a(), Partition(0), Partition(0)),
            (Keyed::fnv1a_random(), Random, Partition(0)),
            (Keyed::sarama_hash(), Random, Partition(0)),
            (Keyed::kafka_go_reference_hash(), Random, Partition(9)),
        ];
        for (scheme, without, empty) in table {
            assert_eq!(of(&scheme, None, 17), without, "{scheme:?}");
            assert_eq!(of(&scheme, Some(b""), 17), empty, "{scheme:?}");
        }
        let go = Keyed::kafka_go_hash();
        let turns: Vec<_> = (0..4).map(|_| of(&go, None, 3)).collect();
        assert_eq!(
            turns,
            [Partition(0), Partition(1), Partition(2), Partition(0)]
        );
    }
}
