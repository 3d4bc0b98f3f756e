//! Where a record came from before a dead letter topic or a retry topic: header names, and how they are read and written. Pure.

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

/// Where a record was read first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) topic: TopicName,
    pub(crate) partition: Option<Partition>,
    pub(crate) offset: Option<Offset>,
    pub(crate) timestamp: Option<Timestamp>,
}

impl Origin {
    /// What its headers tell, where they are its own, else the place where it is now.
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

    /// Writes it into headers, in place of another one.
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

/// Whether what a record's headers say of an origin is said of this record. A handler that copies headers into a record that it makes
/// copies these too: they name the topic that they were sent to, and a record of another topic is not the one that they tell of.
pub(crate) fn is_own(record: &ConsumerRecord) -> bool {
    let headers = &record.headers;
    let topic = Some(record.topic.as_str());
    if headers.text(TOPIC) == topic {
        return true;
    }
    match headers.text(SENT_TO) {
        Some(sent_to) => Some(sent_to) == topic,
        // Written before that was told.
        None => headers.get(RETRY_ROUND).is_some() || headers.get(REPLAYS).is_some(),
    }
}

/// Removes what is said of another record.
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

/// Writes down why a record goes away, in place of an earlier cause.
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

/// Removes what retry topics need to know.
pub(crate) fn forget_retries(headers: &mut Headers) {
    headers.remove(RETRY_ROUND);
    headers.remove(RETRY_DUE);
}

/// When the record was made: by its origin where it has one.
pub(crate) fn timestamp(record: &ConsumerRecord) -> Option<Timestamp> {
    Origin::of(record).timestamp.or(record.timestamp)
}

/// From when on a record's age counts: when it was replayed, where it was, since who replays it wants it done; else when it was made.
pub(crate) fn wanted_since(record: &ConsumerRecord) -> Option<Timestamp> {
    let replayed = number(&record.headers, REPLAYED_AT).filter(|_| is_own(record));
    match replayed {
        Some(millis) => Some(Timestamp::from_millis(millis)),
        None => timestamp(record),
    }
}

/// A header that holds a decimal number.
pub(crate) fn number<T: std::str::FromStr>(headers: &Headers, name: &str) -> Option<T> {
    headers.text(name)?.parse().ok()
}
