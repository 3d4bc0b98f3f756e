//! What a record on its way to a retry topic looks like, and what one that comes from there says. Pure.

use std::time::Duration;

use milena_core::{ConsumerRecord, ProcessError, ProducerRecord, Timestamp, TopicName};

use super::topics::RetryTopics;
use crate::origin::{self, Origin};

/// Where a record is in its rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// The topic that it was read from at first.
    pub(super) base: TopicName,
    /// How many delays it has had.
    pub(super) number: usize,
    /// When it is to be tried; `None` at once.
    pub(super) due: Option<Timestamp>,
    /// How many attempts it had before.
    pub(super) attempts: u32,
}

impl Round {
    /// Reads a record's round. What does not come from a retry topic is in none, whatever its headers say: a dead letter that is
    /// replayed begins anew.
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

/// The record for the next round.
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
    // The time of writing: with an old one, retention would delete it before it is due.
    forwarded.record.timestamp = None;
    forwarded.record.headers = headers;
    forwarded
}

/// A time in words, for people.
pub(super) fn in_words(to: &TopicName, delay: Duration, error: &ProcessError) -> String {
    format!("to `{to}`, again in {delay:?}: {}", error.chain())
}

/// The most bytes of a message: a record must not outgrow the limit that it kept before.
const MESSAGE_CAP: usize = 256;
