//! Which letters are wanted. Pure.

use bytes::Bytes;
use milena_core::{Timestamp, TopicName};

use super::found::FoundLetter;

/// Which letters are wanted: those that meet every condition. Without conditions all are.
#[derive(Clone, Debug, Default)]
#[must_use = "a filter only says which letters are wanted"]
pub struct LetterFilter {
    origin: Option<TopicName>,
    class: Option<String>,
    group: Option<String>,
    message: Option<String>,
    key: Option<Bytes>,
    pub(super) since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl LetterFilter {
    /// All letters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those that came from this topic.
    pub fn origin(mut self, topic: impl Into<TopicName>) -> Self {
        self.origin = Some(topic.into());
        self
    }

    /// Only those whose error is of this class, such as `timeout` or `poison`; for a Java program's letters, the type of the exception.
    pub fn class(mut self, class: impl Into<String>) -> Self {
        self.class = Some(class.into());
        self
    }

    /// Only those that this group gave up.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Only those whose error says this somewhere.
    pub fn message_contains(mut self, text: impl Into<String>) -> Self {
        self.message = Some(text.into());
        self
    }

    /// Only those with this key.
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only those that were written at this time or later.
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }

    /// Only those that were written before this time.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.until = Some(time);
        self
    }

    /// Whether a letter is wanted. What the letter does not tell meets no condition.
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
