//! The header names with which different programs describe the origin and the cause of a dead
//! letter. Pure.

use bytes::Bytes;
use milena_core::Headers;

/// A set of header names for dead letters, as one family of programs writes and reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// The headers of milena, `milena.origin.*` and `milena.cause.*`.
    Milena,
    /// The headers of Spring Kafka, `kafka_dlt-*`, with numbers in binary.
    Spring,
    /// The headers of Kafka Connect, `__connect.errors.*`.
    Connect,
    /// The headers of Kafka's share groups, `__dlq.errors.*` (KIP-1191).
    ShareGroup,
    /// The headers of Kafka Streams, `__streams.errors.*` (KIP-1034).
    Streams,
    /// The headers of SmallRye and Quarkus, `dead-letter-*`.
    SmallRye,
    /// The headers of Karafka, `source_*`.
    Karafka,
    /// The headers of Watermill, `*_poisoned`.
    Watermill,
}

/// The header names of one dialect. `None` if the dialect has no header for a detail.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// The topic that the record came from.
    pub(super) topic: &'static str,
    /// The partition that it came from.
    pub(super) partition: Option<&'static str>,
    /// Its offset there.
    pub(super) offset: Option<&'static str>,
    /// Its timestamp there.
    pub(super) timestamp: Option<&'static str>,
    /// The group that gave the record up.
    pub(super) group: Option<&'static str>,
    /// The class of the error.
    pub(super) class: Option<&'static str>,
    /// The text of the error.
    pub(super) message: Option<&'static str>,
    /// The number of attempts.
    pub(super) attempts: Option<&'static str>,
    /// True if numbers are written as big-endian integers, false for decimal text.
    pub(super) binary: bool,
}

impl Dialect {
    /// All dialects, in the order in which a letter is read.
    pub const ALL: [Self; 8] = [
        Self::Milena,
        Self::Spring,
        Self::Connect,
        Self::ShareGroup,
        Self::Streams,
        Self::SmallRye,
        Self::Karafka,
        Self::Watermill,
    ];

    /// Returns the name of the dialect as one word, for people and for options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Milena => "milena",
            Self::Spring => "spring",
            Self::Connect => "connect",
            Self::ShareGroup => "share-group",
            Self::Streams => "streams",
            Self::SmallRye => "smallrye",
            Self::Karafka => "karafka",
            Self::Watermill => "watermill",
        }
    }

    pub(super) const fn names(self) -> Names {
        match self {
            Self::Milena => Names {
                timestamp: Some("milena.origin.timestamp"),
                group: Some("milena.origin.group"),
                class: Some("milena.cause.class"),
                message: Some("milena.cause.message"),
                attempts: Some("milena.attempts"),
                ..Names::text(
                    "milena.origin.topic",
                    "milena.origin.partition",
                    "milena.origin.offset",
                )
            },
            Self::Spring => Names {
                timestamp: Some("kafka_dlt-original-timestamp"),
                group: Some("kafka_dlt-original-consumer-group"),
                class: Some("kafka_dlt-exception-fqcn"),
                message: Some("kafka_dlt-exception-message"),
                binary: true,
                ..Names::text(
                    "kafka_dlt-original-topic",
                    "kafka_dlt-original-partition",
                    "kafka_dlt-original-offset",
                )
            },
            Self::Connect => Names {
                class: Some("__connect.errors.exception.class.name"),
                message: Some("__connect.errors.exception.message"),
                ..Names::text(
                    "__connect.errors.topic",
                    "__connect.errors.partition",
                    "__connect.errors.offset",
                )
            },
            Self::ShareGroup => Names {
                group: Some("__dlq.errors.group"),
                message: Some("__dlq.errors.message"),
                attempts: Some("__dlq.errors.delivery.count"),
                ..Names::text(
                    "__dlq.errors.topic",
                    "__dlq.errors.partition",
                    "__dlq.errors.offset",
                )
            },
            Self::Streams => Names {
                class: Some("__streams.errors.exception"),
                message: Some("__streams.errors.message"),
                ..Names::text(
                    "__streams.errors.topic",
                    "__streams.errors.partition",
                    "__streams.errors.offset",
                )
            },
            Self::SmallRye => Names {
                class: Some("dead-letter-exception-class-name"),
                message: Some("dead-letter-reason"),
                ..Names::text(
                    "dead-letter-topic",
                    "dead-letter-partition",
                    "dead-letter-offset",
                )
            },
            Self::Karafka => Names {
                group: Some("source_consumer_group"),
                attempts: Some("source_attempts"),
                ..Names::text("source_topic", "source_partition", "source_offset")
            },
            Self::Watermill => Names {
                partition: None,
                offset: None,
                message: Some("reason_poisoned"),
                ..Names::text("topic_poisoned", "", "")
            },
        }
    }
}

impl Names {
    const fn text(topic: &'static str, partition: &'static str, offset: &'static str) -> Self {
        Self {
            topic,
            partition: Some(partition),
            offset: Some(offset),
            timestamp: None,
            group: None,
            class: None,
            message: None,
            attempts: None,
            binary: false,
        }
    }

    /// Encodes a number of 4 bytes as this dialect does.
    pub(super) fn int(&self, number: i32) -> Bytes {
        match self.binary {
            true => Bytes::copy_from_slice(&number.to_be_bytes()),
            false => number.to_string().into(),
        }
    }

    /// Encodes a number of 8 bytes as this dialect does.
    pub(super) fn long(&self, number: i64) -> Bytes {
        match self.binary {
            true => Bytes::copy_from_slice(&number.to_be_bytes()),
            false => number.to_string().into(),
        }
    }

    /// Reads a number that was written in this dialect.
    pub(super) fn number(&self, headers: &Headers, name: Option<&str>) -> Option<i64> {
        let value = headers.get(name?)??;
        if self.binary {
            match *value {
                [a, b, c, d] => return Some(i32::from_be_bytes([a, b, c, d]).into()),
                [a, b, c, d, e, f, g, h] => {
                    return Some(i64::from_be_bytes([a, b, c, d, e, f, g, h]));
                }
                _ => {}
            }
        }
        std::str::from_utf8(value).ok()?.trim().parse().ok()
    }
}
