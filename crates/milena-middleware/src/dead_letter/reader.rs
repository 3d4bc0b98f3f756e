//! Reads the origin and the cause from a dead letter in any dialect, and builds the record that
//! sends it back. Pure.

use milena_core::{
    ConsumerRecord, Headers, Offset, Partition, ProducerRecord, Timestamp, TopicName,
};

use super::dialect::Dialect;
use crate::origin::{self, Origin};

/// The origin and the cause that a dead letter names. A detail that its dialect does not have is
/// `None`.
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
    /// The dialect of the headers that were read.
    pub dialect: Dialect,
    /// The topic that the record came from.
    pub topic: TopicName,
    /// Its partition there.
    pub partition: Option<Partition>,
    /// Its offset there.
    pub offset: Option<Offset>,
    /// Its timestamp there.
    pub timestamp: Option<Timestamp>,
    /// The group whose consumer gave the record up.
    pub group: Option<String>,
    /// The class of the error. Holds milena's [name](milena_core::ErrorClass::name) for it, or the
    /// type of a Java exception.
    pub class: Option<String>,
    /// The error's text.
    pub message: Option<String>,
    /// The dependency that failed.
    pub dependency: Option<String>,
    /// The number of attempts.
    pub attempts: Option<u32>,
    /// The number of times that the record became a dead letter. At least 1.
    pub deaths: u64,
    /// The number of times that it was replayed.
    pub replays: u64,
    /// The parts that were left out and the reason, if the topic refused the whole letter. Its
    /// value can then only be read at its origin.
    pub stub: Option<String>,
}

impl Letter {
    /// Reads the headers of a dead letter. Returns `None` if no dialect matches.
    #[must_use]
    pub fn read(headers: &Headers) -> Option<Self> {
        let mut all = Dialect::ALL.into_iter();
        all.find_map(|dialect| Self::read_as(dialect, headers))
    }

    /// Reads the headers in one dialect. Returns `None` if they do not name an origin in it.
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

    /// Builds the record for `topic` from this letter, which was read as `record`. It has the
    /// letter's key, value and headers, without the cause.
    ///
    /// The record keeps its first origin and counts its replays, so that one that always comes back
    /// can be found ([`replays`](Self::replays)). Its timestamp is the time of sending. For an
    /// [expiry](crate::expiry), its age counts from then on. If the letter's dialect is not
    /// milena's, its origin is written in milena's headers too.
    #[must_use]
    pub fn replay(&self, record: &ConsumerRecord, topic: impl Into<TopicName>) -> ProducerRecord {
        let mut headers = record.headers.clone();
        for dialect in Dialect::ALL {
            let names = dialect.names();
            for name in [names.class, names.message, names.attempts]
                .into_iter()
                .flatten()
            {
                headers.remove(name);
            }
        }
        headers.remove(origin::CAUSE_DEPENDENCY);
        origin::forget_retries(&mut headers);
        let topic = topic.into();
        if headers.get(origin::TOPIC).is_none() {
            let origin = Origin {
                topic: self.topic.clone(),
                partition: self.partition,
                offset: self.offset,
                timestamp: self.timestamp,
            };
            origin.note(&mut headers);
        }
        headers.set(origin::SENT_TO, topic.as_str().to_owned());
        headers.set(
            origin::REPLAYED_AT,
            Timestamp::now().to_millis().to_string(),
        );
        headers.set(origin::DEATHS, self.deaths.to_string());
        headers.set(origin::REPLAYS, self.replays.saturating_add(1).to_string());
        let mut replayed = ProducerRecord::new(topic).headers(headers);
        replayed.record.key = record.key.clone();
        replayed.record.value = record.value.clone();
        replayed
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

    #[test]
    fn a_replayed_letter_keeps_its_origin_loses_its_cause_and_counts() {
        let mut record = ConsumerRecord::new("dead", 0, 5);
        record.key = Some("k".into());
        record.value = Some("v".into());
        record.headers.extend([
            ("trace", "7"),
            ("__connect.errors.topic", "orders"),
            ("__connect.errors.partition", "3"),
            ("__connect.errors.offset", "17"),
            ("__connect.errors.exception.message", "no order"),
            ("milena.retry.round", "2"),
            ("milena.replays", "1"),
        ]);
        let Some(letter) = Letter::read(&record.headers) else {
            panic!("it is a letter")
        };
        let replayed = letter.replay(&record, "orders");
        let headers = &replayed.record.headers;
        assert_eq!(
            (replayed.topic.as_str(), replayed.partition),
            ("orders", None)
        );
        assert_eq!(replayed.record.value.as_deref(), Some(&b"v"[..]));
        for (name, value) in [
            ("trace", Some("7")),
            ("milena.origin.topic", Some("orders")),
            ("milena.origin.offset", Some("17")),
            ("milena.replays", Some("2")),
            ("milena.deaths", Some("1")),
            ("milena.retry.round", None),
            ("__connect.errors.exception.message", None),
        ] {
            assert_eq!(headers.text(name), value, "{name}");
        }
    }
}
