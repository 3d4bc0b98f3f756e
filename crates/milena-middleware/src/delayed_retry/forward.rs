//! Builds the record that is written to a retry topic, and reads the headers of a record that comes
//! from one. Pure.

use std::time::Duration;

use milena_core::{ConsumerRecord, ProcessError, ProducerRecord, Timestamp, TopicName};

use super::topics::RetryTopics;
use crate::origin::{self, Origin};

/// The progress of a record through the delays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The topic that the record was first read from.
    pub(super) base: TopicName,
    /// The number of delays so far. 0 if the record does not come from a retry topic.
    pub(super) number: usize,
    /// The time at which it is tried. `None` for at once.
    pub(super) due: Option<Timestamp>,
    /// The attempts before this round.
    pub(super) attempts: u32,
}

impl Round {
    /// Reads a record's round. A record that does not come from a retry topic is in none, whatever
    /// its headers say, so a replayed dead letter starts again.
    pub(super) fn of(record: &ConsumerRecord, topics: &RetryTopics) -> Self {
        match topics.base(&record.topic) {
            None => Self {
                base: record.topic.clone(),
                number: 0,
                due: None,
                attempts: 0,
            },
            Some(base) => {
                let headers = &record.headers;
                Self {
                    base: base.into(),
                    number: origin::number(headers, origin::RETRY_ROUND).unwrap_or(1),
                    due: origin::number(headers, origin::RETRY_DUE).map(Timestamp::from_millis),
                    attempts: origin::number(headers, origin::ATTEMPTS).unwrap_or(0),
                }
            }
        }
    }
}

/// Builds the record for the next round.
pub(super) fn forward(
    record: ConsumerRecord,
    to: &TopicName,
    round: usize,
    due: Timestamp,
    error: &ProcessError,
    attempts: u32,
) -> ProducerRecord {
    let mut headers = record.headers.clone();
    origin::disown(&record, &mut headers);
    Origin::of(&record).note(&mut headers);
    headers.set(origin::SENT_TO, to.as_str().to_owned());
    let message = error.chain();
    let mut end = message.len().min(MESSAGE_CAP);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    origin::note_cause(
        error.class().name(),
        message.get(..end).unwrap_or_default(),
        error.dependency_name(),
        &mut headers,
    );
    headers.set(origin::ATTEMPTS, attempts.to_string());
    headers.set(origin::RETRY_ROUND, round.to_string());
    headers.set(origin::RETRY_DUE, due.to_millis().to_string());
    let mut forwarded = ProducerRecord::new(to);
    forwarded.record = record.into_record();
    // Without a timestamp the record gets the time of writing. With its old one, retention could
    // delete the record before it is due.
    forwarded.record.timestamp = None;
    forwarded.record.headers = headers;
    forwarded
}

/// Describes the next round for people.
pub(super) fn in_words(to: &TopicName, delay: Duration, error: &ProcessError) -> String {
    format!("to `{to}`, again in {delay:?}: {}", error.chain())
}

/// The most bytes of an error message in a header. Keeps the record from outgrowing a size limit
/// that it met before.
const MESSAGE_CAP: usize = 256;
