//! The schemes by the names that their clients give them.

use super::{Choice, Keyed, LeastBytes, Manual, Murmur2, Partitioner, Partitioning, RoundRobin};

/// The names that [`by_name`] knows.
pub const NAMES: [&str; 19] = [
    "java",
    "murmur2",
    "murmur2_random",
    "consistent",
    "consistent_random",
    "fnv1a",
    "fnv1a_random",
    "random",
    "sarama-hash",
    "sarama-reference-hash",
    "sarama-crc",
    "kafka-go-hash",
    "kafka-go-reference-hash",
    "kafka-go-crc32",
    "kafka-go-murmur2",
    "kafka-python",
    "round-robin",
    "least-bytes",
    "manual",
];

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
    Some(match name {
        "java" => Box::new(Murmur2),
        "murmur2" => Box::new(Keyed::murmur2()),
        "murmur2_random" | "kafka-go-murmur2" | "kafka-python" => Box::new(Keyed::murmur2_random()),
        "consistent" => Box::new(Keyed::consistent()),
        "consistent_random" | "kafka-go-crc32" => Box::new(Keyed::consistent_random()),
        "fnv1a" => Box::new(Keyed::fnv1a()),
        "fnv1a_random" => Box::new(Keyed::fnv1a_random()),
        "random" => Box::new(|_: &Partitioning<'_>| Choice::Random),
        "sarama-hash" => Box::new(Keyed::sarama_hash()),
        "sarama-reference-hash" => Box::new(Keyed::sarama_reference_hash()),
        "sarama-crc" => Box::new(Keyed::sarama_crc()),
        "kafka-go-hash" => Box::new(Keyed::kafka_go_hash()),
        "kafka-go-reference-hash" => Box::new(Keyed::kafka_go_reference_hash()),
        "round-robin" => Box::new(RoundRobin::default()),
        "least-bytes" => Box::new(LeastBytes::default()),
        "manual" => Box::new(Manual),
        _ => return None,
    })
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
