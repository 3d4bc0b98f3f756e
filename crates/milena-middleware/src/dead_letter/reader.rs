//! Reads what a dead letter says of itself, in whatever dialect. Pure.

use milena_core::{Headers, Offset, Partition, Timestamp, TopicName};

use super::dialect::Dialect;
use crate::origin;

/// What a dead letter says of itself: where it came from, and why. What its dialect does not tell is `None`.
///
/// ```
/// use milena_core::Headers;
/// use milena_middleware::dead_letter::{Dialect, Letter};
///
/// let headers = Headers::from_iter([
///     ("__connect.errors.topic", "orders"),
///     ("__connect.errors.partition", "3"),
///     ("__connect.errors.offset", "17"),
///     ("__connect.errors.exception.message", "no order"),
/// ]);
/// let letter = Letter::read(&headers).unwrap();
/// assert_eq!(letter.dialect, Dialect::Connect);
/// assert_eq!(letter.topic, "orders");
/// assert_eq!(letter.message.as_deref(), Some("no order"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Letter {
    /// Whose headers told it.
    pub dialect: Dialect,
    /// The topic that it came from.
    pub topic: TopicName,
    /// Its partition there.
    pub partition: Option<Partition>,
    /// Its offset there.
    pub offset: Option<Offset>,
    /// Its timestamp there.
    pub timestamp: Option<Timestamp>,
    /// The group whose consumer gave it up.
    pub group: Option<String>,
    /// The class of the error: milena's [name](milena_core::ErrorClass::name) of it, or the type of a Java exception.
    pub class: Option<String>,
    /// What the error said.
    pub message: Option<String>,
    /// The dependency that failed.
    pub dependency: Option<String>,
    /// How many attempts there were.
    pub attempts: Option<u32>,
    /// How often it became a dead letter; at least 1.
    pub deaths: u64,
    /// How often it was replayed.
    pub replays: u64,
    /// What was left out of it, and why, where its topic did not take it whole. Its value is then only to be had where it came from.
    pub stub: Option<String>,
}

impl Letter {
    /// Reads the headers of a dead letter; `None` where no dialect knows them.
    #[must_use]
    pub fn read(headers: &Headers) -> Option<Self> {
        let mut all = Dialect::ALL.into_iter();
        all.find_map(|dialect| Self::read_as(dialect, headers))
    }

    /// Reads the headers as one dialect's; `None` where they do not name an origin in it.
    #[must_use]
    pub fn read_as(dialect: Dialect, headers: &Headers) -> Option<Self> {
        let names = dialect.names();
        let text = |name: Option<&str>| Some(headers.text(name?)?.to_owned());
        let number = |name: Option<&'static str>| names.number(headers, name);
        let partition = number(names.partition).and_then(|raw| i32::try_from(raw).ok());
        let attempts = number(names.attempts).and_then(|raw| u32::try_from(raw).ok());
        Some(Self {
            dialect,
            topic: headers.text(names.topic)?.into(),
            partition: partition.and_then(Partition::from_wire),
            offset: number(names.offset).and_then(Offset::from_wire),
            timestamp: number(names.timestamp).and_then(Timestamp::from_wire),
            group: text(names.group),
            class: text(names.class),
            message: text(names.message),
            dependency: text(Some(origin::CAUSE_DEPENDENCY)),
            attempts,
            deaths: origin::number(headers, origin::DEATHS).unwrap_or(1),
            replays: origin::number(headers, origin::REPLAYS).unwrap_or(0),
            stub: text(Some(origin::STUB)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn springs_numbers_are_binary_and_the_others_are_text() {
        let mut headers = Headers::new();
        headers.push("kafka_dlt-original-topic", "orders");
        headers.push("kafka_dlt-original-partition", 3i32.to_be_bytes().to_vec());
        headers.push("kafka_dlt-original-offset", 17i64.to_be_bytes().to_vec());
        headers.push(
            "kafka_dlt-original-timestamp",
            1_000i64.to_be_bytes().to_vec(),
        );
        headers.push(
            "kafka_dlt-exception-fqcn",
            "java.lang.IllegalStateException",
        );
        let letter = Letter::read(&headers);
        let letter = letter.as_ref();
        assert_eq!(letter.map(|l| l.dialect), Some(Dialect::Spring));
        assert_eq!(letter.and_then(|l| l.partition), Some(3.into()));
        assert_eq!(letter.and_then(|l| l.offset), Some(17.into()));
        assert_eq!(
            letter.and_then(|l| l.timestamp),
            Some(Timestamp::from_millis(1_000))
        );
        let class = letter.and_then(|l| l.class.as_deref());
        assert_eq!(class, Some("java.lang.IllegalStateException"));
    }

    #[test]
    fn a_share_groups_letter_tells_group_and_deliveries() {
        let headers = Headers::from_iter([
            ("__dlq.errors.topic", "orders"),
            ("__dlq.errors.partition", "0"),
            ("__dlq.errors.offset", "5"),
            ("__dlq.errors.group", "billing"),
            ("__dlq.errors.delivery.count", "5"),
            ("__dlq.errors.message", "too often"),
        ]);
        let letter = Letter::read(&headers);
        let letter = letter.as_ref();
        assert_eq!(letter.map(|l| l.dialect), Some(Dialect::ShareGroup));
        assert_eq!(letter.and_then(|l| l.group.as_deref()), Some("billing"));
        assert_eq!(letter.and_then(|l| l.attempts), Some(5));
    }

    #[test]
    fn what_is_no_letter_is_none() {
        assert_eq!(Letter::read(&Headers::new()), None);
        assert_eq!(Letter::read(&Headers::from_iter([("trace", "7")])), None);
    }
}
