//! Where a record came from before a dead letter topic or a retry topic: header names, and how they are read and written. Pure.

use milena_core::{ConsumerRecord, Headers, Timestamp};

pub(crate) const TOPIC: &str = "milena.origin.topic";
pub(crate) const PARTITION: &str = "milena.origin.partition";
pub(crate) const OFFSET: &str = "milena.origin.offset";
pub(crate) const TIMESTAMP: &str = "milena.origin.timestamp";
pub(crate) const ATTEMPTS: &str = "milena.attempts";
pub(crate) const DEATHS: &str = "milena.deaths";
pub(crate) const CAUSE_CLASS: &str = "milena.cause.class";
pub(crate) const CAUSE_MESSAGE: &str = "milena.cause.message";
pub(crate) const CAUSE_DEPENDENCY: &str = "milena.cause.dependency";

/// Writes down where `record` comes from, unless that was done when it first went away.
pub(crate) fn note(record: &ConsumerRecord, headers: &mut Headers) {
    if headers.get(TOPIC).is_some() {
        return;
    }
    headers.set(TOPIC, record.topic.as_str().to_owned());
    headers.set(PARTITION, record.partition.to_string());
    headers.set(OFFSET, record.offset.to_string());
    if let Some(timestamp) = record.timestamp {
        headers.set(TIMESTAMP, timestamp.to_millis().to_string());
    }
}

/// When the record was made: by its origin where it has one.
pub(crate) fn timestamp(record: &ConsumerRecord) -> Option<Timestamp> {
    match number(&record.headers, TIMESTAMP) {
        Some(millis) => Some(Timestamp::from_millis(millis)),
        None => record.timestamp,
    }
}

/// A header that holds a decimal number.
pub(crate) fn number<T: std::str::FromStr>(headers: &Headers, name: &str) -> Option<T> {
    headers.text(name)?.parse().ok()
}
