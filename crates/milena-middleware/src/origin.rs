//! The origin of a record that went through a dead letter topic or a retry topic. Holds the header
//! names and the functions that read and write them. Pure.

use milena_core::{ConsumerRecord, Headers, Offset, Partition, Timestamp, TopicName};

pub(crate) const TOPIC: &str = "milena.origin.topic";
pub(crate) const PARTITION: &str = "milena.origin.partition";
pub(crate) const OFFSET: &str = "milena.origin.offset";
pub(crate) const TIMESTAMP: &str = "milena.origin.timestamp";
pub(crate) const GROUP: &str = "milena.origin.group";
pub(crate) const SENT_TO: &str = "milena.sent.to";
pub(crate) const ATTEMPTS: &str = "milena.attempts";
pub(crate) const DEATHS: &str = "milena.deaths";
pub(crate) const REPLAYS: &str = "milena.replays";
pub(crate) const REPLAYED_AT: &str = "milena.replayed.at";
pub(crate) const STUB: &str = "milena.stub";
pub(crate) const CAUSE_CLASS: &str = "milena.cause.class";
pub(crate) const CAUSE_MESSAGE: &str = "milena.cause.message";
pub(crate) const CAUSE_DEPENDENCY: &str = "milena.cause.dependency";
pub(crate) const RETRY_ROUND: &str = "milena.retry.round";
pub(crate) const RETRY_DUE: &str = "milena.retry.due";

/// The place where a record was first read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The topic that the record was first read from.
    pub(crate) topic: TopicName,
    /// The partition. `None` if the headers do not name it.
    pub(crate) partition: Option<Partition>,
    /// The offset. `None` if the headers do not name it.
    pub(crate) offset: Option<Offset>,
    /// The record's original timestamp. `None` if it has none or the headers do not name it.
    pub(crate) timestamp: Option<Timestamp>,
}

impl Origin {
    /// Returns the origin that the headers name if they belong to this record, otherwise the
    /// record's current place.
    pub(crate) fn of(record: &ConsumerRecord) -> Self {
        let headers = &record.headers;
        match headers.text(TOPIC).filter(|_| is_own(record)) {
            Some(topic) => Self {
                topic: topic.into(),
                partition: number(headers, PARTITION).and_then(Partition::from_wire),
                offset: number(headers, OFFSET).and_then(Offset::from_wire),
                timestamp: number(headers, TIMESTAMP).map(Timestamp::from_millis),
            },
            None => Self {
                topic: record.topic.clone(),
                partition: Some(record.partition),
                offset: Some(record.offset),
                timestamp: record.timestamp,
            },
        }
    }

    /// Writes this origin into `headers` and replaces an earlier one.
    pub(crate) fn note(&self, headers: &mut Headers) {
        headers.set(TOPIC, self.topic.as_str().to_owned());
        let numbers = [
            (PARTITION, self.partition.map(|n| i64::from(n.to_wire()))),
            (OFFSET, self.offset.map(Offset::to_wire)),
            (TIMESTAMP, self.timestamp.map(Timestamp::to_millis)),
        ];
        for (name, number) in numbers {
            match number {
                Some(number) => headers.set(name, number.to_string()),
                None => headers.remove(name),
            }
        }
    }
}

/// Returns true if the origin headers of `record` describe this record.
///
/// A handler that copies headers into a new record copies these too. They name the topic that they
/// were sent to, so in a record of another topic they describe a different record.
pub(crate) fn is_own(record: &ConsumerRecord) -> bool {
    let headers = &record.headers;
    let topic = Some(record.topic.as_str());
    if headers.text(TOPIC) == topic {
        return true;
    }
    match headers.text(SENT_TO) {
        Some(sent_to) => Some(sent_to) == topic,
        // Headers of older versions do not name the topic that they were sent to.
        None => headers.get(RETRY_ROUND).is_some() || headers.get(REPLAYS).is_some(),
    }
}

/// Removes origin headers that belong to another record.
pub(crate) fn disown(record: &ConsumerRecord, headers: &mut Headers) {
    if is_own(record) {
        return;
    }
    for name in [
        TOPIC,
        PARTITION,
        OFFSET,
        TIMESTAMP,
        GROUP,
        SENT_TO,
        ATTEMPTS,
        DEATHS,
        REPLAYS,
        REPLAYED_AT,
        STUB,
        RETRY_ROUND,
        RETRY_DUE,
        CAUSE_CLASS,
        CAUSE_MESSAGE,
        CAUSE_DEPENDENCY,
    ] {
        headers.remove(name);
    }
}

/// Writes the cause for which a record is sent away, and replaces an earlier cause.
pub(crate) fn note_cause(
    class: &'static str,
    message: &str,
    dependency: Option<&str>,
    headers: &mut Headers,
) {
    headers.set(CAUSE_CLASS, class);
    headers.set(CAUSE_MESSAGE, message.to_owned());
    match dependency {
        Some(name) => headers.set(CAUSE_DEPENDENCY, name.to_owned()),
        None => headers.remove(CAUSE_DEPENDENCY),
    }
}

/// Removes the headers of the retry topics.
pub(crate) fn forget_retries(headers: &mut Headers) {
    headers.remove(RETRY_ROUND);
    headers.remove(RETRY_DUE);
}

/// Returns the time at which the record was made. Uses the origin's timestamp if it has one.
pub(crate) fn timestamp(record: &ConsumerRecord) -> Option<Timestamp> {
    Origin::of(record).timestamp.or(record.timestamp)
}

/// Returns the time from which a record's age counts.
///
/// That is the time of its last replay, because a replayed record is wanted again, or else the time
/// at which it was made.
pub(crate) fn wanted_since(record: &ConsumerRecord) -> Option<Timestamp> {
    let replayed = number(&record.headers, REPLAYED_AT).filter(|_| is_own(record));
    match replayed {
        Some(millis) => Some(Timestamp::from_millis(millis)),
        None => timestamp(record),
    }
}

/// Reads a header that holds a decimal number.
pub(crate) fn number<T: std::str::FromStr>(headers: &Headers, name: &str) -> Option<T> {
    headers.text(name)?.parse().ok()
}
