//! Selects letters. Pure.

use bytes::Bytes;
use milena_core::{Timestamp, TopicName};

use super::found::FoundLetter;

/// Conditions that select letters. A letter must meet every condition. Without conditions, all
/// letters are selected.
#[derive(Clone, Debug, Default)]
#[must_use = "a filter only says which letters are wanted"]
pub struct LetterFilter {
    /// The topic that the letter came from. `None` accepts any.
    origin: Option<TopicName>,
    /// The class of the error. `None` accepts any.
    class: Option<String>,
    /// The group that gave the record up. `None` accepts any.
    group: Option<String>,
    /// A part of the error's text. `None` accepts any text.
    message: Option<String>,
    /// The key of the letter. `None` accepts any.
    key: Option<Bytes>,
    /// The earliest time of writing, included. `None` for no limit.
    pub(super) since: Option<Timestamp>,
    /// The latest time of writing, excluded. `None` for no limit.
    until: Option<Timestamp>,
}

impl LetterFilter {
    /// Creates a filter that selects all letters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Selects only letters that came from `topic`.
    pub fn origin(mut self, topic: impl Into<TopicName>) -> Self {
        self.origin = Some(topic.into());
        self
    }

    /// Selects only letters whose error has this class, such as `timeout` or `poison`. For letters
    /// of a Java program it is the type of the exception.
    pub fn class(mut self, class: impl Into<String>) -> Self {
        self.class = Some(class.into());
        self
    }

    /// Selects only letters that this group gave up.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Selects only letters whose error contains `text`.
    pub fn message_contains(mut self, text: impl Into<String>) -> Self {
        self.message = Some(text.into());
        self
    }

    /// Selects only letters with this key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Selects only letters that were written at `time` or later.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Selects only letters that were written before `time`.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Returns true if the letter meets every condition. A detail that the letter does not name
    /// meets no condition.
    #[must_use]
    pub fn wants(&self, found: &FoundLetter) -> bool {
        let letter = found.letter.as_ref();
        let text = |wanted: &Option<String>, told: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| told == Some(wanted))
        };
        let origin = self.origin.as_ref();
        let message = letter.and_then(|letter| letter.message.as_ref());
        let time = found.record.timestamp;
        origin.is_none_or(|topic| letter.is_some_and(|letter| letter.topic == *topic))
            && text(&self.class, letter.and_then(|letter| letter.class.as_ref()))
            && text(&self.group, letter.and_then(|letter| letter.group.as_ref()))
            && self
                .message
                .as_ref()
                .is_none_or(|part| message.is_some_and(|message| message.contains(part.as_str())))
            && self
                .key
                .as_ref()
                .is_none_or(|key| found.record.key.as_ref() == Some(key))
            && self
                .since
                .is_none_or(|since| time.is_some_and(|time| time >= since))
            && self
                .until
                .is_none_or(|until| time.is_some_and(|time| time < until))
    }
}

#[cfg(test)]
mod tests {
    use milena_core::ConsumerRecord;

    use super::*;

    fn letter() -> FoundLetter {
        let mut record = ConsumerRecord::new("dead", 0, 5);
        record.key = Some("k".into());
        record.timestamp = Some(Timestamp::from_millis(1_000));
        record.headers.extend([
            ("milena.origin.topic", "orders"),
            ("milena.origin.group", "billing"),
            ("milena.cause.class", "timeout"),
            ("milena.cause.message", "the attempt took longer than 5s"),
        ]);
        FoundLetter::new(record)
    }

    #[test]
    fn each_condition_has_to_be_met() {
        let at = Timestamp::from_millis;
        let all = LetterFilter::new()
            .origin("orders")
            .class("timeout")
            .group("billing")
            .message_contains("longer")
            .key("k")
            .since(at(1_000))
            .until(at(1_001));
        assert!(all.wants(&letter()) && LetterFilter::new().wants(&letter()));
        for wrong in [
            all.clone().origin("bills"),
            all.clone().class("poison"),
            all.clone().group("other"),
            all.clone().message_contains("shorter"),
            all.clone().key("x"),
            all.clone().since(at(1_001)),
            all.until(at(1_000)),
        ] {
            assert!(!wrong.wants(&letter()), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_no_letter_meets_no_condition_about_one() {
        let plain = FoundLetter::new(ConsumerRecord::new("dead", 0, 0));
        assert!(LetterFilter::new().wants(&plain));
        assert!(!LetterFilter::new().class("timeout").wants(&plain));
    }
}
