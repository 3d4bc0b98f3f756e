//! The schemes by the names that their clients give them.

use milena_core::PartitionerName;

use super::{Choice, Keyed, LeastBytes, Manual, Murmur2, Partitioner, Partitioning, RoundRobin};

/// The names that [`by_name`] knows.
pub const NAMES: [&str; PartitionerName::NAMES.len()] = PartitionerName::NAMES;

/// Returns the scheme of that name. `None` if the name is not among [`NAMES`].
///
/// `java` is the default. The other names without a prefix are librdkafka's.
///
/// ```
/// use milena_producer::partitioner::{Choice, Partitioner, Partitioning, by_name};
///
/// let scheme = by_name("consistent_random").unwrap();
/// let record = Partitioning::new("orders", Some(b"order-1"), None, 6);
/// assert_eq!(scheme.choose(&record), Choice::Partition(1));
/// assert!(by_name("murmur3").is_none());
/// ```
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Partitioner>> {
    name.parse().ok().map(named)
}

/// Returns the scheme of that name.
#[must_use]
pub fn named(name: PartitionerName) -> Box<dyn Partitioner> {
    match name {
        PartitionerName::Java => Box::new(Murmur2),
        PartitionerName::Murmur2 => Box::new(Keyed::murmur2()),
        PartitionerName::Murmur2Random
        | PartitionerName::KafkaGoMurmur2
        | PartitionerName::KafkaPython => Box::new(Keyed::murmur2_random()),
        PartitionerName::Consistent => Box::new(Keyed::consistent()),
        PartitionerName::ConsistentRandom | PartitionerName::KafkaGoCrc32 => {
            Box::new(Keyed::consistent_random())
        }
        PartitionerName::Fnv1a => Box::new(Keyed::fnv1a()),
        PartitionerName::Fnv1aRandom => Box::new(Keyed::fnv1a_random()),
        PartitionerName::Random => Box::new(|_: &Partitioning<'_>| Choice::Random),
        PartitionerName::SaramaHash => Box::new(Keyed::sarama_hash()),
        PartitionerName::SaramaReferenceHash => Box::new(Keyed::sarama_reference_hash()),
        PartitionerName::SaramaCrc => Box::new(Keyed::sarama_crc()),
        PartitionerName::KafkaGoHash => Box::new(Keyed::kafka_go_hash()),
        PartitionerName::KafkaGoReferenceHash => Box::new(Keyed::kafka_go_reference_hash()),
        PartitionerName::RoundRobin => Box::new(RoundRobin::default()),
        PartitionerName::LeastBytes => Box::new(LeastBytes::default()),
        PartitionerName::Manual => Box::new(Manual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_scheme() {
        for name in NAMES {
            assert!(by_name(name).is_some(), "{name}");
        }
        assert!(by_name("").is_none());
    }
}
