//! The names of the schemes that choose a partition.

use super::table::words;

/// A scheme that chooses the partition of a record, by the name that its client gives it.
///
/// The names without a prefix are librdkafka's, except for [`Java`](Self::Java) and the last three.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PartitionerName {
    /// The scheme of Kafka's Java clients. The default.
    #[default]
    Java,
    /// Java's hash. Records without a key count as records of one empty key.
    Murmur2,
    /// Java's hash. Records without a key go to partitions drawn at random.
    Murmur2Random,
    /// CRC-32. Records without a key count as records of one empty key.
    Consistent,
    /// CRC-32. Records with an empty key or none go to partitions drawn at random.
    ConsistentRandom,
    /// FNV-1a. Records without a key count as records of one empty key.
    Fnv1a,
    /// FNV-1a. Records without a key go to partitions drawn at random.
    Fnv1aRandom,
    /// A partition drawn at random for each record, whatever its key.
    Random,
    /// Sarama's `NewHashPartitioner`.
    SaramaHash,
    /// Sarama's `NewReferenceHashPartitioner`.
    SaramaReferenceHash,
    /// Sarama's `NewConsistentCRCHashPartitioner`.
    SaramaCrc,
    /// kafka-go's `Hash`.
    KafkaGoHash,
    /// kafka-go's `ReferenceHash`.
    KafkaGoReferenceHash,
    /// kafka-go's `CRC32Balancer`.
    KafkaGoCrc32,
    /// kafka-go's `Murmur2Balancer`.
    KafkaGoMurmur2,
    /// The default of kafka-python.
    KafkaPython,
    /// The partitions in turn, whatever the key.
    RoundRobin,
    /// The partition that was given the fewest bytes.
    LeastBytes,
    /// The partition that the record names. A record that names none is refused.
    Manual,
}

words! {
    PartitionerName of "partitioner.class" {
        Java = "java",
        Murmur2 = "murmur2",
        Murmur2Random = "murmur2_random",
        Consistent = "consistent",
        ConsistentRandom = "consistent_random",
        Fnv1a = "fnv1a",
        Fnv1aRandom = "fnv1a_random",
        Random = "random",
        SaramaHash = "sarama-hash",
        SaramaReferenceHash = "sarama-reference-hash",
        SaramaCrc = "sarama-crc",
        KafkaGoHash = "kafka-go-hash",
        KafkaGoReferenceHash = "kafka-go-reference-hash",
        KafkaGoCrc32 = "kafka-go-crc32",
        KafkaGoMurmur2 = "kafka-go-murmur2",
        KafkaPython = "kafka-python",
        RoundRobin = "round-robin",
        LeastBytes = "least-bytes",
        Manual = "manual",
    }
}
