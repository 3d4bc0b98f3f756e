//! Where a record came from before a dead letter topic or a retry topic: header names, and how they are read and written. Pure.

use milena_core::{ConsumerRecord, Headers, Timestamp};

pub(crate) const TOPIC: &str = "milena.origin.topic";
pub(crate) const PARTITION: &str = "milena.origin.partition";
pub(crate) const OFFSET: &str = "milena.origin.offset";
pub(crate) const TIMESTAMP: &str = "milena.origin.timestamp";
pub(crate) const GROUP: &str = "milena.origin.group";
pub(crate) const ATTEMPTS: &str = "milena.attempts";
pub(crate) const DEATHS: &str = "milena.deaths";
pub(crate) const REPLAYS: &str = "milena.replays";
pub(crate) const CAUSE_CLASS: &str = "milena.cause.class";
pub(crate) const CAUSE_MESSAGE: &str = "milena.cause.message";
pub(crate) const CAUSE_DEPENDENCY: &str = "milena.cause.dependency";
pub(crate) const RETRY_ROUND: &str = "milena.retry.round";
pub(crate) const RETRY_DUE: &str = "milena.retry.due";

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
    match number(&record.headers, TIMESTAMP) {
        Some(millis) => Some(Timestamp::from_millis(millis)),
        None => record.timestamp,
    }
}

/// A header that holds a decimal number.
pub(crate) fn number<T: std::str::FromStr>(headers: &Headers, name: &str) -> Option<T> {
    headers.text(name)?.parse().ok()
}
